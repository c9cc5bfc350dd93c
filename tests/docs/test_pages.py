"""Pages lead somewhere and their code is real: links, anchors, commands and options, Python, YAML, JSON."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from doc_pages import PAGES, ROOT, TUTORIALS, Block, anchors, blocks, commands, indented_commands, links

from geoseg.cli.main import app
from geoseg.flows.entry import FLOWS

BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [
    (block, command)
    for block in [*BLOCKS, *(one for page in PAGES for one in indented_commands(page))]
    for command in commands(block)
]
TARGETS = {
    line.partition(":")[0]
    for line in (ROOT / "Makefile").read_text().splitlines()
    if line[:1].isalpha() and ":" in line
}


def ids(values: list[Any]) -> list[str]:
    return [f"{value[0].place} {value[1][:40]}" if isinstance(value, tuple) else value.place for value in values]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    wrong = []
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        names = [link.partition("#")[0] for link in links(page) if "://" not in link]
        targets = [(page.parent / name).resolve() for name in names if name]
        waiting += [inner for target in targets for inner in ([target] if target.is_file() else target.glob("*.md"))]
    assert set(PAGES) - reached == set()


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=ids(COMMANDS))
def test_commands_and_their_options_exist(block: Block, command: str) -> None:
    """Commands of geoseg are parsed as they would be, without being run."""
    if command.startswith("make "):
        assert set(command.split()[1:]) <= TARGETS
        return
    words = shlex.split(command, comments=True)
    if words[0] != "geoseg":
        return
    words = words[1:]
    if words[:1] == ["flow"]:
        assert set(words[1:2]) <= set(FLOWS)
        return
    node: Any = typer.main.get_command(app)
    while words and getattr(node, "commands", {}) and words[0] in node.commands:
        node = node.commands[words.pop(0)]
    assert not getattr(node, "commands", {}) or node.invoke_without_command or "--help" in words, command
    if "--help" not in words:
        node.make_context("geoseg", words).close()


@pytest.mark.parametrize("block", BLOCKS, ids=ids(BLOCKS))
def test_code_is_of_the_language_that_its_block_names(block: Block) -> None:
    language = block.words.partition(" ")[0]
    if language == "python":
        compile(block.text, block.place, "exec")
    if language == "yaml":
        yaml.safe_load(block.text)
    if language == "json":
        json.loads(block.text)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorials_can_be_run_word_by_word(page: Path) -> None:
    """Each command line is one that the slow test runs, or is marked as not to be run."""
    found = [block for block in blocks(page) if block.words.startswith("console")]
    assert any(block.words == "console" for block in found)
    assert {block.words for block in found} <= {"console", "console no-run"}
