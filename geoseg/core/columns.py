"""Column names made from the band names of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, count

_CHARACTERS = 40
OWN_NAMES = ("confidence",)
"""Reserved prefix of column names: ``confidence_min`` is a column of every layer of segments."""


def plain_name(text: str) -> str:
    """Make a lower-case identifier (SQL ignores case) of at most 40 characters; may be empty.

    Examples:
        >>> plain_name(" Near-Infrared (B8)")
        'near_infrared_b8'
    """
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_")[:_CHARACTERS].rstrip("_")


def distinct_names(choices: Sequence[Sequence[str]], *, reserved: Sequence[str] = ()) -> tuple[str, ...]:
    """Name things so that no name comes twice.

    Args:
        choices: for each thing names in order of preference; empty ones are passed over, at least one is not.
        reserved: names that are taken from the start.

    Returns:
        The first choice that is not taken; where all are, the last one and a number.

    Examples:
        >>> distinct_names([["", "b1"], ["red", "b2"], ["red", "b3"], ["red"]])
        ('b1', 'red', 'b3', 'red_2')
    """
    taken: list[str] = []
    for names in choices:
        some = [name for name in names if name]
        numbered = (f"{some[-1]}_{n}" for n in count(2))
        taken.append(next(name for name in chain(some, numbered) if name not in taken and name not in reserved))
    return tuple(taken)
