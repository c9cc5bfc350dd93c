"""Every case of the table, by the real command in a process with limits: its exit code, its words, nothing left."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from cases import CASES, Case
from reliability_page import PAGE, page

QUICK = 6
"""Every so many cases run in the quick test: a process takes seconds to start."""


def limit() -> None:
    """Limit the address space, the time and the open files of a process."""
    resource.setrlimit(resource.RLIMIT_AS, (12 * 10**9, 12 * 10**9))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def check(case: Case, model: Path, folder: Path) -> None:
    given, out = folder / f"input{case.suffix}", folder / "out"
    case.make(given)
    words = {"input": given, "model": model, "out": out}
    command = [sys.executable, "-m", "geoseg", *(word.format(**words) for word in case.command)]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=300, cwd=folder)
    assert ended.returncode == case.code, ended.stderr
    assert case.words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "root:" not in ended.stderr + ended.stdout
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()] if out.exists() else []
    assert [
        path for path in files if not path.parts[0].startswith(".")
    ] == []  # finished blocks are kept for the next run


@pytest.mark.parametrize("case", CASES[::QUICK], ids=lambda case: case.name)
def test_a_case_ends_with_its_code_and_words(case: Case, tiny_model: Path, tmp_path: Path) -> None:
    check(case, tiny_model, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_ends_with_its_code_and_words(case: Case, tiny_model: Path, tmp_path: Path) -> None:
    check(case, tiny_model, tmp_path)


def test_the_page_of_promises_is_that_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/faults/reliability_page.py"
