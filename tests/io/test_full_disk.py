"""Every writer, on a disk that fills up at any size: a WriteError, no part left, the old file as it was."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("full_disk.py")


@pytest.mark.parametrize(
    "limit_bytes", [300_000, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (0, 4_000))]
)
def test_a_full_disk_leaves_the_old_file_or_nothing(tmp_path, limit_bytes):
    command = [sys.executable, str(SCRIPT), str(tmp_path), str(limit_bytes)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert len(told) == 28
    failed = 0
    for case, seen in told.items():
        parts = [name for name in seen["left"] if ".part" in name]
        assert not parts, case
        if seen["message"] is None:
            assert seen["left"][seen["target"]] <= limit_bytes, case
            assert not seen["kept"], case
            continue
        failed += 1
        assert seen["target"] in seen["message"], case
        assert "cannot be written" in seen["message"], case
        assert "free" in seen["message"], case
        assert "\n" not in seen["message"], case
        assert seen["left"] == ({seen["target"]: 12} if "an old" in case else {}), case
        assert seen["kept"] == ("an old" in case), case
    # the polygons and the rasters outgrow every limit here, and an empty disk holds none of them
    assert failed >= (18 if limit_bytes == 0 else 10)
