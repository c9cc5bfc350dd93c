"""docs/checkpoints.md lists every layout of weights and every comparison with other code."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "checkpoints.py"


def test_the_table_lists_every_layout_and_every_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("checkpoints_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "checkpoints_page", script)
    spec.loader.exec_module(script)
    table = script.PAGE.read_text().partition(script.BEGIN)[2].partition(script.END)[0]
    written = [row.split(" | ") for row in table.splitlines() if row.startswith("| ")][1:]
    rows = script.rows()
    made = [script.line(layout, compared, "").split(" | ") for layout, compared in rows]
    assert [row[:4] for row in written] == [row[:4] for row in made], "run python docs/checkpoints.py"
    listed = {one.name for _, compared in rows for one in compared}
    assert listed == {one.name for one in script.comparisons()}
    states = script.PAGE.read_text().partition(script.BEGIN_STATES)[2].partition(script.END_STATES)[0]
    assert states.strip() == script.states(rows), "run python docs/checkpoints.py"
    assert all(float(row[4].removesuffix(" |") or 0) <= 2e-5 for row in written)
