"""The pages of the documentation, taken apart: links, anchors and blocks of code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "sample_tiles").glob("*.md")])
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@dataclass(frozen=True)
class Block:
    """A fenced block: page, line, words after the fence, and text."""

    page: Path
    line: int
    words: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    found, words, start, lines = [], None, 0, []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif words is None:
            words, start, lines = line.strip().removeprefix("```").strip(), number, []
        else:
            found.append(Block(page, start, words, "\n".join(lines)))
            words = None
    assert words is None, f"{page}: a block is not closed"
    return found


def commands(block: Block) -> list[str]:
    """Lines after ``$`` of a console block."""
    if block.words.partition(" ")[0] != "console":
        return []
    return [line[2:] for line in re.sub(r"\\\n *", "", block.text).splitlines() if line.startswith("$ ")]


def indented_commands(page: Path) -> list[Block]:
    """Lines of indented code that begin with ``geoseg``."""
    inside = {number for block in blocks(page) for number in range(block.line, block.line + block.text.count("\n") + 3)}
    return [
        Block(page, number, "console", f"$ {line.strip()}")
        for number, line in enumerate(page.read_text().splitlines(), start=1)
        if number not in inside and re.match(r" {4}geoseg ", line) and not line.endswith("\\")
    ]


def prose(page: Path) -> str:
    text = re.sub(r"^\s*```.*?^\s*```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)?)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """Names of the headings, as the forges make them."""
    heads = re.findall(r"^#+ +(.*?) *$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head) for head in heads]
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in plain}
