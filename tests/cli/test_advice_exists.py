"""Messages, help and docstrings name only options that some command has."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import typer

import geoseg
from geoseg.cli.advice import fitting
from geoseg.cli.main import app

OTHERS = {
    "--like", "--bidx",  # of rio and gdal_rasterize
    "--crs",  # of other programs, whose habit it is
    "--limit", "--all",  # of prefect
    "--preload", "--resources", "--nthreads", "--no-dashboard", "--death-timeout",  # of dask
}  # fmt: skip
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]+(?:-[a-z0-9]+)*(?![\w-])")


def options_of(command: Any) -> set[str]:
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options_of(inner) for inner in getattr(command, "commands", {}).values()))


def test_no_message_recommends_an_option_that_does_not_exist() -> None:
    known = options_of(typer.main.get_command(app)) | OTHERS | {"--help"}
    for name in ("evaluate_archive", "notify", "resubmit", "segment_archive", "segment_scene", "serve", "train_model"):
        flow = typer.Typer()
        flow.command()(importlib.import_module(f"geoseg.flows.{name}").main)
        known |= options_of(typer.main.get_command(flow))
    root = Path(geoseg.__file__).parent
    unknown = [
        f"{path.relative_to(root)}:{node.lineno} {option}"
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for option in OPTION.findall(node.value)
        if option not in known
    ]
    assert unknown == []


def test_a_command_without_an_option_gives_advice_without_it() -> None:
    archive = frozenset({"--workers", "--json"})
    refused = "out/a: exists, and geoseg did not make it. Choose another --out or move it away."
    assert fitting(refused, archive) == "out/a: exists, and geoseg did not make it. Choose another output folder."
    assert fitting(refused, archive | {"--out"}) == refused
