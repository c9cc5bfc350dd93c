"""Hooks of the documentation site: pages that lie outside of ``docs``, and reference pages made from the code."""

from __future__ import annotations

import inspect
import posixpath
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.testing import CliRunner

import geoseg
from geoseg.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
HOME = "index.md"
OUTSIDE = {
    "README.md": HOME,
    **{
        name: name
        for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "sample_tiles/README.md")
        if (ROOT / name).is_file()
    },
}
"""Pages of the repository outside of ``docs``: path to address in the site."""

_LINK = re.compile(r"(\]\(|src=\")([^)\"#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside of ``docs``, the files they link to, and the reference."""
    for source, target in OUTSIDE.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text("utf-8")))
    for page in [ROOT / name for name in OUTSIDE] + sorted((ROOT / "docs").rglob("*.md")):
        for _, link in _LINK.findall(page.read_text("utf-8")):
            target = (page.parent / link).resolve()
            name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
            if target.is_file() and name not in OUTSIDE and not name.startswith("docs/") and name not in files.src_uris:
                files.append(File.generated(config, name, content=target.read_bytes()))
    files.append(File.generated(config, "adr/index.md", content=decisions_page()))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "reference/python.md", content=python_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where their files are in the site."""
    del config, files
    place = page.file.src_uri
    source = next((name for name, target in OUTSIDE.items() if target == place), f"docs/{place}")

    def moved(match: re.Match[str]) -> str:
        link = match.group(2)
        if "://" in link or link.startswith("mailto:"):
            return match.group(0)
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        if not (ROOT / aim).exists():
            return match.group(0)
        target = OUTSIDE.get(aim, aim.removeprefix("docs/")) + ("/index.md" if (ROOT / aim).is_dir() else "")
        return match.group(1) + posixpath.relpath(target, posixpath.dirname(place) or ".")

    return _LINK.sub(moved, markdown)


def decisions_page() -> str:
    """Make the list of the architecture decision records."""
    lines = ["# Decisions", "", "Why the design is as it is: one record for each decision.", ""]
    for page in sorted((ROOT / "docs" / "adr").glob("*.md")):
        title = page.read_text("utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"* [{title}]({page.name})")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Make the page of all commands and options from what ``--help`` prints."""
    lines = ["# Commands", "", "What `geoseg COMMAND --help` prints, for every command.", ""]

    def add(command: Any, words: tuple[str, ...]) -> None:
        shown = CliRunner().invoke(app, [*words[1:], "--help"], terminal_width=100, env={"NO_COLOR": "1"})
        lines.extend([f"## {' '.join(words)}", "", "```text", shown.output.strip(), "```", ""])
        for name, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                add(inner, (*words, name))

    add(typer.main.get_command(app), ("geoseg",))
    return "\n".join(lines)


def python_page() -> str:
    """Make the page of the public names of ``geoseg``."""
    lines = ["# Python", "", "The public names of `geoseg`. Docstrings give shapes, units and errors.", ""]
    for name in geoseg.__dir__():
        thing = getattr(geoseg, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            lines += [f"::: {thing.__module__}.{thing.__qualname__}", ""]
    return "\n".join(lines)
