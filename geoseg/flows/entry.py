"""``geoseg flow NAME``: the flows of the installed package by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import MappingProxyType
from typing import Final

from geoseg.errors import UsageError
from geoseg.process.command import run_command

FLOWS: Final = MappingProxyType(
    {
        "segment-archive": ("geoseg.flows.segment_archive", "All scenes of an archive, then its catalogue."),
        "segment-scene": ("geoseg.flows.segment_scene", "One scene."),
        "train-model": ("geoseg.flows.train_model", "A model from a recipe."),
        "evaluate-archive": ("geoseg.flows.evaluate_archive", "Every finished scene that has a reference."),
        "serve": ("geoseg.flows.serve", "The archive's flow at times or intervals, on one machine."),
        "resubmit": ("geoseg.flows.resubmit", "Runs a deployment again when a run of it crashed."),
        "notify": ("geoseg.flows.notify", "Sends a message when a run ends with new failures."),
    }
)
"""Module and summary of each flow."""


def main() -> None:
    """Run ``geoseg flow NAME OPTIONS`` and exit with the documented exit code."""
    name = next(iter(sys.argv[2:]), "--help")
    if name in {"-h", "--help"}:
        sys.exit(run_command(_list, debug=False))
    sys.exit(run_command(lambda: _run(name), debug="--debug" in sys.argv))


def _list() -> int:
    print("Usage: geoseg flow NAME [OPTIONS]; geoseg flow NAME --help lists the options.\n")  # noqa: T201 - a command
    for name, (_, summary) in FLOWS.items():
        print(f"  {name:<18} {summary}")  # noqa: T201 - a command
    return 0


def _run(name: str) -> None:
    if name not in FLOWS:
        raise UsageError(f"geoseg flow {name}: there is no such flow; there are {', '.join(FLOWS)}.")
    if importlib.util.find_spec("prefect") is None:
        raise UsageError("flows need Prefect. Run pip install 'geoseg[flows]'.")
    sys.argv = [f"geoseg flow {name}", *sys.argv[3:]]
    flow = importlib.import_module(FLOWS[name][0])
    command = importlib.import_module("geoseg.flows.outcome").command
    command(flow.main)
