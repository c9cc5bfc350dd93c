"""Write ``docs/reliability.md`` from ``promises.yaml`` and the table of commands.

usage: reliability_page.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
QUICK, SLOW = "test_a_command_ends_as_promised", "test_every_command_ends_as_promised"
TEST = "faults/table/test_commands.py"


def promises() -> list[dict[str, Any]]:
    """Read the blocks of the page: each has ``text``, ``rows``, or ``commands``, which is where the table stands."""
    blocks: list[dict[str, Any]] = yaml.safe_load((HERE / "promises.yaml").read_text(encoding="utf-8"))
    return blocks


def page() -> str:
    """Make the page."""
    return "\n\n".join(_block(block) for block in promises()) + "\n"


def _block(block: dict[str, Any]) -> str:
    if "commands" in block:
        return _commands()
    return _table(block["rows"]) if "rows" in block else str(block["text"]).strip()


def _commands() -> str:
    sys.path[1:1] = [str(HERE / "table"), str(HERE.parent)]
    from all_cases import GROUPS

    parts = []
    for heading, cases in GROUPS.items():
        rows = [
            {"case": case.name, "promise": case.kept(), "tests": [f"{TEST}::{QUICK if case.quick else SLOW}"]}
            for case in cases
        ]
        parts += [f"### {heading}", _table(rows)]
    return "\n\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| case | promise | test |", "|---|---|---|"]
    for row in rows:
        tests = ", ".join(f"`{test}`" for test in row["tests"])
        lines.append(f"| {_cell(row['case'])} | {_cell(row['promise'])} | {tests} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "\\n").replace("\0", "\\0").replace("\x1b", "\\x1b")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
