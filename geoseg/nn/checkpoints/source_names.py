"""The source's names of tensors that a checkpoint lacks: a layout's renames, undone and checked by doing them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module
from itertools import accumulate
from typing import Any

from geoseg.nn.checkpoints.layout import Layout

_MOST = 4000
_PARSER: Any = import_module("re._parser")
_NUMBER = r"\\(\d)|<(\d+)-\\(\d)>|<\\(\d)-(\d+)>"
"""``\\1``, and the numbers that a layout counts the other way round or from another beginning."""


def source_names(layout: Layout, ours: Sequence[str], present: Iterable[str]) -> list[str]:
    """Name what becomes our tensors.

    Args:
        layout: of the checkpoint.
        ours: names of our tensors.
        present: names in the checkpoint. Where several names would do, the one that is most like them is taken.

    Returns:
        The source's names; ours where none is found.
    """
    begins = {begin for name in present for begin in (*_begins(name), *_begins(_alike(name)))}
    return [_likest(layout, name, begins) for name in ours]


def _likest(layout: Layout, ours: str, begins: AbstractSet[str]) -> str:
    fitting: dict[str, tuple[int, int]] = {}
    for tried, name in enumerate(_undone(layout, ours, len(layout.renames))):
        if name not in fitting and layout.target_name(name) == ours:
            new = sum(begin not in begins for begin in _begins(_alike(name)))
            fitting[name] = -new, sum(begin in begins for begin in _begins(name))
        if tried > _MOST:
            break
    return max(fitting, key=lambda name: fitting[name], default=ours)


def _alike(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _begins(name: str) -> list[str]:
    """Beginnings of a name, part by part."""
    return list(accumulate(name.split("."), lambda before, part: f"{before}.{part}"))


def _undone(layout: Layout, name: str, last: int) -> Iterator[str]:
    """Undo the first renames in every way, the last of them first; those that change the name before the others."""
    if last == 0:
        yield name
        return
    pattern, replacement = layout.renames[last - 1]
    for before in dict.fromkeys(_before(pattern, replacement, name)):
        yield from _undone(layout, before, last - 1)
    yield from _undone(layout, name, last - 1)


def _before(pattern: str, replacement: str, name: str) -> Iterator[str]:
    literal, places = "", []
    end = 0
    for match in re.finditer(_NUMBER, replacement):
        literal += re.escape(replacement[end : match.start()]) + r"(\w+?)"
        places.append(match)
        end = match.end()
    literal += re.escape(replacement[end:])
    written = re.compile(literal)
    starts = range(1 if pattern.startswith("^") else len(name))
    for found in filter(None, (written.match(name, start) for start in starts)):  # those that overlap too
        groups: dict[int, str] = {}
        for place, value in zip(places, found.groups(), strict=True):
            if place[1]:
                groups[int(place[1])] = value
            elif value.isdigit() and place[2]:
                groups[int(place[3])] = str(int(place[2]) - int(value))
            elif value.isdigit():
                groups[int(place[4])] = str(int(value) + int(place[5]))
        for text in _texts(_PARSER.parse(pattern).data, groups):
            yield name[: found.start()] + text + name[found.end() :]


def _texts(parts: Any, groups: Mapping[int, str]) -> Iterator[str]:
    """Write the texts that a pattern stands for, where its groups are known; assertions stand for nothing."""
    if not parts:
        yield ""
        return
    for head in _text(parts[0], groups):
        for rest in _texts(parts[1:], groups):
            yield head + rest


def _text(part: Any, groups: Mapping[int, str]) -> Iterator[str]:
    kind, value = str(part[0]), part[1]
    if kind in ("AT", "ASSERT", "ASSERT_NOT"):
        yield ""
    elif kind == "LITERAL":
        yield chr(value)
    elif kind == "SUBPATTERN":
        if value[0] in groups:
            yield groups[value[0]]
        else:
            yield from _texts(value[3].data, groups)
    elif kind == "BRANCH":
        for branch in value[1]:
            yield from _texts(branch.data, groups)
    elif kind == "MAX_REPEAT" and value[:2] == (0, 1):
        yield ""
        yield from _texts(value[2].data, groups)
