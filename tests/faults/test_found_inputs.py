"""Inputs that fuzzing found: each was a crash once; and a short round of fuzzing for every reader."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz import mutated
from fuzz_targets import LIBRARIES, TARGETS, quiet, try_input

FOUND = Path(__file__).parent / "found"
ROUNDS = 25


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in LIBRARIES}
    quiet()
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("file", sorted(FOUND.iterdir()), ids=lambda file: file.name)
def test_an_input_that_crashed_once_is_refused_or_read(file: Path, tmp_path: Path) -> None:
    target = TARGETS[file.name.partition(".")[0].replace("_", " ")]
    target.seeds(tmp_path)
    try_input(target, tmp_path, file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_input_is_refused_or_read(name: str, tmp_path: Path) -> None:
    target, rng = TARGETS[name], random.Random(name)  # noqa: S311 - no secret
    seeds = target.seeds(tmp_path)
    assert any(try_input(target, tmp_path, seed) for seed in seeds)
    for _ in range(ROUNDS):
        try_input(target, tmp_path, mutated(seeds, rng))
