"""Options of networks are data that users write: their types and ranges are checked before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from geoseg.errors import ModelError

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_INDICES = frozenset({"things"})
"""Options that list indices."""


def check_types(name: str, builder: Callable[..., object], options: Mapping[str, object]) -> None:
    """Compare options with the annotations of a builder.

    Numbers count channels, pixels, rates or scales, so that none is below 1, or of fractions none at or below 0; only
    indices of classes begin at 0. Which words an option knows is left to the builder, that lists them.

    Raises:
        ModelError: names the network, the option, its value and what it should be.
    """
    hints = get_type_hints(builder)
    for key, value in options.items():
        hint = hints.get(key, Any)
        if isinstance(value, str) and _takes_words(hint):
            continue
        try:
            TypeAdapter(hint, config=_STRICT).validate_python(value)
        except ValidationError as error:
            expected = error.errors()[0]["msg"]
            raise ModelError(
                f"network {name!r}: option {key}={value!r}: {expected[0].lower()}{expected[1:]}"
            ) from error
        least = -1 if key in _INDICES else 0
        if hint is not Any and any(number <= least for number in _numbers(value)):
            raise ModelError(f"network {name!r}: option {key}={value!r}: pass numbers above 0")


def _takes_words(hint: object) -> bool:
    return hint is str or any(get_origin(part) is Literal for part in (hint, *get_args(hint)))


def _numbers(value: object) -> Iterator[float]:
    for part in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(part, (int, float)) and not isinstance(part, bool):
            yield part
