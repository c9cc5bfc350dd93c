"""The tutorials, word by word: every command is run in a copy of the checkout's samples, in order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT, TUTORIALS, blocks, commands

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_ends_well(page: Path, tmp_path: Path) -> None:
    for name in ("sample_tiles", "docs/tutorials", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "geoseg").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m geoseg "$@"\n')
    (programs / "geoseg").chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    lines = [line for block in blocks(page) if block.words == "console" for line in commands(block)]
    for line in lines:
        ran = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, f"{line}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}"
