"""Docstrings say what a thing is or does, in the first words that a reader meets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "geoseg"

RIDDLES = frozenset({"What", "Whatever", "Where", "Whether", "Which", "Who", "Whose"})


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of the strings that document modules, classes, functions, fields and constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    text = statement.value.value
                    if isinstance(text, str):
                        yield statement.lineno, text.strip()


def _riddles(tree: ast.Module) -> list[tuple[int, str]]:
    return [(line, text) for line, text in _docstrings(tree) if _first_word(text) in RIDDLES]


def _first_word(text: str) -> str:
    word = re.match(r"\w*", text)
    return word[0] if word else ""


def test_no_docstring_begins_with_a_relative_clause():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in _riddles(ast.parse(path.read_text()))
    ]
    assert found == []


def test_a_relative_clause_is_recognised():
    tree = ast.parse('"""Whether it rains."""\nX = 1\n"""Where it rains."""\ndef f():\n    """Which rain."""\n')
    assert [text for _, text in _riddles(tree)] == ["Whether it rains.", "Where it rains.", "Which rain."]
    assert _riddles(ast.parse('"""Wherever."""\ndef f():\n    """Return True if it rains."""\n    "what"\n')) == []
