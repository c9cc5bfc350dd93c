"""Advice that fits the command: a refusal names no option that the command which was given has not."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from typer.core import TyperGroup

_INSTEAD = {
    "--allow-remote": "Download it.",
    "--allow-vrt": "Make a GeoTIFF of it: gdal_translate IN.vrt OUT.tif.",
    "--assets": "Give the files themselves.",
    "--block-px": "Set a smaller block_px.",
    "--out": "Choose another output folder.",
    "--overwrite": "Move it away, or choose another output folder.",
    "--assume-crs": "Give it one: rio edit-info --crs EPSG:code FILE.",
    "--max-mpx": "Cut it into parts: gdal_translate -srcwin.",
}
"""What helps a command that has not the option."""

_SENTENCE, _OPTION = re.compile(r"(?<=[.!?]) (?=[A-Z])"), re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def fitting(text: str, options: frozenset[str]) -> str:
    """Replace sentences of advice that name an option which a command has not.

    Args:
        text: of a refusal.
        options: that the command has.

    Example:
        >>> fitting("a.tif: it has no CRS. Pass --assume-crs EPSG:code.", frozenset({"--out"}))
        'a.tif: it has no CRS. Give it one: rio edit-info --crs EPSG:code FILE.'
    """
    return " ".join(_sentence(sentence, options) for sentence in _SENTENCE.split(text))


def _sentence(text: str, options: frozenset[str]) -> str:
    named = next((name for name in _OPTION.findall(text) if name in _INSTEAD), None)
    return text if named is None or named in options else _INSTEAD[named]


class Commands(TyperGroup):
    """The commands of geoseg; refusals of each give advice that it can follow."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was given."""
        from geoseg.errors import GeosegError

        try:
            return super().invoke(ctx)
        except GeosegError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            error.reword(partial(fitting, options=_options(command)))
            raise


def _options(command: Any) -> frozenset[str]:
    """List the options of a command and of those below it."""
    below = getattr(command, "commands", {}).values()
    own = (name for parameter in getattr(command, "params", ()) for name in parameter.opts)
    return frozenset(own).union(*map(_options, below))
