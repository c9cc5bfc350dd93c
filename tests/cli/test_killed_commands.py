"""Commands that are killed or interrupted at any moment go on to the answer of one that nobody disturbed."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_training import document, write_squares

from geoseg.io.weights.model_file import read_model

ROUNDS = 4
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}


def disturbed(command: list[str], number: signal.Signals, after_s: float) -> int | None:
    """Run a command and send it a signal; None where it ended before."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said
        return process.returncode
    assert process.returncode in {0, 7}, said
    return None


def goes_on(command: list[str], number: signal.Signals, answer: Callable[[], Any], clear: Callable[[], Any]) -> None:
    """Disturb a command at random moments, each time to the end afterwards, and compare its answers."""
    begun = time.monotonic()
    whole_code = subprocess.run(command, capture_output=True).returncode
    whole, length_s, rng = answer(), time.monotonic() - begun, random.Random(int(number))  # noqa: S311
    for _ in range(ROUNDS):
        clear()
        code = disturbed(command, number, rng.uniform(0.2, 1) * length_s)
        assert code in {None, CODES[number], whole_code}
        if code not in {None, whole_code}:
            assert subprocess.run(command, capture_output=True).returncode == whole_code
        assert answer() == whole


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_a_training_goes_on_to_the_same_weights_and_log(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_squares(tmp_path / "data")
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(yaml.safe_dump(document(steps=60, save_every=5, validate_every=20)))
    options = ["--data", str(tmp_path / "data"), "--out", str(out), "--threads", "1", "--quiet"]

    def answer() -> Any:
        tensors, card = read_model(out / "squares.safetensors")
        log = list(csv.DictReader((out / "squares_log.csv").read_text().splitlines()))
        steady = [{k: v for k, v in row.items() if k not in {"images_per_s", "elapsed_s"}} for row in log]
        weights = {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in tensors.items()}
        return weights, steady, card.scores

    def clear() -> None:
        for file in [path for path in out.rglob("*") if path.is_file()]:
            file.unlink()

    goes_on([sys.executable, "-m", "geoseg", "train", str(recipe), *options], number, answer, clear)


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_an_archive_goes_on_to_the_same_layers(number: signal.Signals, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(4)
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))

    def answer() -> Any:
        assert not list(config.out.rglob("*.part"))
        assert not list(config.out.glob(".*.b*"))
        records = [json.loads(record.read_text()) for record in sorted(config.out.glob("area*/run.json"))]
        # items of STAC hold times
        return [{name: f["sha256"] for name, f in r["files"].items() if not name.endswith("json")} for r in records]

    def clear() -> None:
        subprocess.run(["rm", "-rf", str(config.out)], check=True)

    goes_on([sys.executable, "-m", "geoseg", "archive", "run", str(path), "--quiet"], number, answer, clear)
