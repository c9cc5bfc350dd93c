"""The ``geoseg`` command: registers the sub-commands; none is imported before it is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import geoseg
from geoseg.cli.advice import Commands
from geoseg.cli.commands.archive import archive
from geoseg.cli.commands.check import check
from geoseg.cli.commands.demo import demo
from geoseg.cli.commands.doctor import doctor
from geoseg.cli.commands.edit import edit
from geoseg.cli.commands.evaluate import evaluate
from geoseg.cli.commands.init import init
from geoseg.cli.commands.inspect import inspect
from geoseg.cli.commands.models import models
from geoseg.cli.commands.predict import predict
from geoseg.cli.commands.train import train
from geoseg.cli.commands.vectorise import vectorise
from geoseg.cli.commands.view import view
from geoseg.process.command import run_command
from geoseg.process.signals import leave, watch_signals

app = typer.Typer(
    name="geoseg",
    cls=Commands,
    help="Turn aerial and satellite imagery into map layers that open styled in QGIS.",
    epilog="geoseg flow NAME runs a flow of Prefect; geoseg flow --help lists them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(predict)
app.command()(vectorise)
app.command()(train)
app.add_typer(edit, name="edit")
app.add_typer(evaluate, name="evaluate")
app.add_typer(models, name="models")
app.add_typer(archive, name="archive")
app.add_typer(init, name="init")
app.command()(inspect)
app.command()(view)
app.command()(check)
app.command()(demo)
app.command()(doctor)


def _version(*, requested: bool) -> None:
    if requested:
        print(f"geoseg {geoseg.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=lambda v: _version(requested=v), is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    del version, debug  # run_command reads --debug before parsing, so that it works for parsing errors too


def main() -> None:
    """Run the command line and exit with the documented exit code."""
    watch_signals()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    leave(run_command(lambda: app(args=arguments, standalone_mode=False), debug="--debug" in sys.argv[1:]))


if __name__ == "__main__":
    main()
