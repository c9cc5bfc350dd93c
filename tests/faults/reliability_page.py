"""Write ``docs/reliability.md`` from ``promises.yaml``.

usage: reliability_page.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"


def promises() -> list[dict[str, Any]]:
    """Read the blocks of the page: each has ``text`` or ``rows``."""
    blocks: list[dict[str, Any]] = yaml.safe_load((HERE / "promises.yaml").read_text(encoding="utf-8"))
    return blocks


def page() -> str:
    """Make the page."""
    return (
        "\n\n".join(_table(block["rows"]) if "rows" in block else block["text"].strip() for block in promises()) + "\n"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| case | promise | test |", "|---|---|---|"]
    for row in rows:
        tests = ", ".join(f"`{test}`" for test in row["tests"])
        lines.append(f"| {row['case']} | {row['promise']} | {tests} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
