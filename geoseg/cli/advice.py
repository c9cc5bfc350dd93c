"""Advice that fits the command: error messages name only options that the current command has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from typer.core import TyperGroup

_INSTEAD = {
    "--allow-remote": "Download it.",
    "--allow-vrt": "Make a GeoTIFF of it: gdal_translate IN.vrt OUT.tif.",
    "--assets": "Give the files themselves.",
    "--block-px": "Set a smaller block_px.",
    "--subdataset": "Write one as a file: gdal_translate SUBDATASET OUT.tif.",
    "--out": "Choose another output folder.",
    "--overwrite": "Move it away, or choose another output folder.",
    "--assume-crs": "Give it one: rio edit-info --crs EPSG:code FILE.",
    "--max-mpx": "Cut it into parts: gdal_translate -srcwin.",
}
"""Replacement advice for commands that lack an option."""

_ARGUMENTS = "geoseg.arguments"
_SENTENCE, _OPTION = re.compile(r"(?<=[.!?]) (?=[A-Z])"), re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def fitting(text: str, options: frozenset[str]) -> str:
    """Replace sentences of advice that name an option the command lacks.

    Args:
        text: error message.
        options: options of the command.

    Examples:
        >>> fitting("a.tif: it has no CRS. Pass --assume-crs EPSG:code.", frozenset({"--out"}))
        'a.tif: it has no CRS. Give it one: rio edit-info --crs EPSG:code FILE.'
    """
    return " ".join(_sentence(sentence, options) for sentence in _SENTENCE.split(text))


def _sentence(text: str, options: frozenset[str]) -> str:
    named = next((name for name in _OPTION.findall(text) if name in _INSTEAD), None)
    return text if named is None or named in options else _INSTEAD[named]


def refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse arguments of no character or of blanks only; as a path one would mean the current folder, or a new one.

    Raises:
        UsageError: an argument is empty; the message names the option before it.
    """
    from geoseg.errors import UsageError

    for before, argument in pairwise(("", *arguments)):
        option, given, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        if value.strip() or (option and not given):
            continue
        named = option or (before if before.startswith("--") else "")
        place = f"{named}: its value" if named.strip("-") else "an argument, such as a scene's name,"
        raise UsageError(f"{place} is empty; a variable of the shell may be unset. Give one, or leave it out.")


def with_addresses(text: str, arguments: Sequence[str]) -> str:
    """Write addresses as the user gave them; as a ``Path`` they lose one of their slashes.

    Args:
        text: error message.
        arguments: arguments of the command line.

    Examples:
        >>> with_addresses("http:/a.b/c.tif: download it first.", ["--reference", "http://a.b/c.tif"])
        'http://a.b/c.tif: download it first.'
    """
    for argument in arguments:
        address = argument.partition("=")[2] if argument.startswith("--") else argument
        if "://" in address:
            text = text.replace(str(PurePath(address)), address)
    return text


class Commands(TyperGroup):
    """Command group of geoseg: adapts error messages to the command line and refuses empty arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        refuse_empty(args)
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was given."""
        from geoseg.errors import GeosegError, SceneError

        try:
            return super().invoke(ctx)
        except GeosegError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            error.reword(partial(fitting, options=_options(command)))
            addresses = partial(with_addresses, arguments=ctx.meta[_ARGUMENTS])
            if isinstance(error, SceneError):
                error.uri = addresses(error.uri)
            error.reword(addresses)
            raise


def _options(command: object) -> frozenset[str]:
    """List the options of a command and its sub-commands."""
    below = getattr(command, "commands", {}).values()
    own = (name for parameter in getattr(command, "params", ()) for name in parameter.opts)
    return frozenset(own).union(*map(_options, below))
