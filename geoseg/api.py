"""Errors of the public functions: options of the command line are rewritten as Python parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from geoseg.errors import GeosegError

P = ParamSpec("P")
R = TypeVar("R")

# "--name", and the value that an example gives it
_OPTION = re.compile(
    r"(?<![\w-])--(?P<name>[a-z][a-z0-9-]*)"
    r"(?P<value> (?:EPSG:\w+|LOW,HIGH|(?:N|VALUE|FOLDER|no|auto|cpu|torch|replay|discard)\b))?"
)
_LEADING = re.compile(r"^--(?P<name>[a-z][a-z0-9-]*)(?= [^:]*: )")
_OTHER_COMMANDS = re.compile(r"\b(?:rio|gdal\w+|ogr\w+|pip|pystac|geoseg) [^:]*?--")
_RENAMED = {"max-mpx": "max_pixels", "no-vector": "vector", "no-confidence": "confidence"}
_VALUES = {"LOW,HIGH": "(LOW, HIGH)", "N": "N", "VALUE": "VALUE", "FOLDER": "FOLDER"}


def python_words(text: str) -> str:
    """Rewrite the options of a message as the parameters of the public functions.

    Examples:
        >>> python_words("it has no CRS. Pass --assume-crs EPSG:code.")
        "it has no CRS. Pass open_scene(..., assume_crs='EPSG:code')."
        >>> python_words("Pass a smaller --block-px, or --overwrite.")
        'Pass a smaller PredictSpec(block_px=...), or overwrite=True.'
    """
    text = _LEADING.sub(lambda match: _parameter(match["name"]), text)
    other = _OTHER_COMMANDS.search(text)  # another program's command line stays what it is
    ours, others = (text, "") if other is None else (text[: other.start()], text[other.start() :])
    return _OPTION.sub(lambda match: _call(match["name"], match["value"]), ours) + others


def speaks_python(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function so that its error messages name parameters instead of command-line options."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GeosegError as error:
            error.reword(python_words)
            raise

    return call


def _parameter(option: str) -> str:
    return _RENAMED.get(option, option.replace("-", "_"))


def _call(option: str, value: str | None) -> str:
    from geoseg.core.spec import InstanceChoice, PanopticChoice, PredictSpec  # noqa: PLC0415 - only an error needs it
    from geoseg.io.raster.open_options import OpenOptions  # noqa: PLC0415 - same

    name = _parameter(option)
    given = "..." if value is None else _VALUES.get(value.strip(), repr(value.strip()))
    if name in OpenOptions.__dataclass_fields__:
        flag = OpenOptions.__dataclass_fields__[name].type == "bool"
        return f"open_scene(..., {name}={'True' if flag else given})"
    if name in PredictSpec.model_fields:
        if isinstance(PredictSpec.model_fields[name].default, bool):
            given = str(not option.startswith("no-"))
        return f"PredictSpec({name}={given})"
    if name in InstanceChoice.model_fields:
        return f"InstanceChoice({name}={given})"
    if name in PanopticChoice.model_fields:
        return f"PanopticChoice({name}={given})"
    if name in {"overwrite", "resample"}:
        return f"{name}=True"
    return name if value is None else f"{name}={given}"
