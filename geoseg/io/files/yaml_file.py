"""Configuration files: plain-data YAML, validated as a whole."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from geoseg.errors import UsageError
from geoseg.io.files.input_file import read_input

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 50

Value = TypeVar("Value", bound=BaseModel)


def read_config(path: Path, kind: type[Value], context: dict[str, object] | None = None) -> Value:
    """Read a value from YAML.

    Args:
        path: the file.
        kind: model of the content.
        context: context for its validators.

    Raises:
        UsageError: the file cannot be read, is not YAML, or is invalid; all errors at once, with their lines.
    """
    try:
        content = read_input(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    return parse_config(content, kind, path, context)


def parse_config(
    content: bytes, kind: type[Value], path: str | Path, context: dict[str, object] | None = None
) -> Value:
    """Read a value from the bytes of a YAML file.

    Args:
        content: UTF-8.
        kind: model of the content.
        path: name of the file, for messages.
        context: context for its validators.

    Raises:
        UsageError: it is not YAML, or is invalid; all errors at once, with their lines.
    """
    try:
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{path}: {len(content)} bytes; a configuration has at most {_MAX_BYTES}.")
        loader = _Loader(content.decode("utf-8"))
        root = loader.get_single_node()
        document = None if root is None else loader.construct_document(root)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return kind.model_validate(document, context=context)
    except ValidationError as error:
        raise UsageError(f"{path}: {faults(error, root)}") from error


def yaml_scalar(text: str) -> str:
    """Write text as a YAML scalar on one line.

    Examples:
        >>> yaml_scalar("my town"), yaml_scalar("no"), yaml_scalar("a: b")
        ('my town', "'no'", "'a: b'")
    """
    return yaml.safe_dump(text, width=10**6, allow_unicode=True).removesuffix("...\n").strip()


def faults(error: ValidationError, root: yaml.Node | None = None) -> str:
    """List all validation errors of a value in one line, without duplicates.

    Args:
        error: the validation error.
        root: root node of the file, for line numbers.
    """
    by_place: dict[tuple[str | int, ...], dict[str, list[str]]] = {}
    for fault in error.errors():
        if _only_emptied(fault):
            continue
        place, alternative = _place(fault["loc"])
        message = fault["msg"].removeprefix("Value error, ").replace("tuple", "list").replace("Tuple", "List")
        message = message if place or fault["type"] == "value_error" else f"top: {message}"
        by_place.setdefault(place, {}).setdefault(alternative, []).append(message)
    lines = []
    for place, alternatives in _closest_alternatives(by_place).items():
        line = "" if root is None else f" (line {_line(root, place)})"
        name = f"{'.'.join(map(str, place))}: " if place else ""
        lines.append(f"{name}{_alternatives(alternatives)}{line}")
    return "; ".join(lines)


def _only_emptied(fault: ErrorDetails) -> bool:
    """Return True for an error on a tuple that pydantic emptied itself because its entries are invalid."""
    given = fault["input"]
    least = fault.get("ctx", {}).get("min_length", 0)
    return fault["type"] == "too_short" and isinstance(given, list | tuple) and len(given) >= least


_TYPE_NAMES = frozenset({"str", "int", "float", "bool", "none", "dict", "list", "tuple"})


def _place(location: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], str]:
    """Split a location into the keys of the document and the alternative of a union that pydantic tried there."""
    keys: list[str | int] = []
    tried = ""
    for part in location:
        if isinstance(part, str) and (part in _TYPE_NAMES or not re.fullmatch(r"[a-z][a-z0-9_-]*", part)):
            tried = tried or part
        else:
            keys.append(part)
    return tuple(keys), tried


def _closest_alternatives(
    by_place: dict[tuple[str | int, ...], dict[str, list[str]]],
) -> dict[tuple[str | int, ...], dict[str, list[str]]]:
    """Keep the most useful errors of a union: of the model with the fewest errors, else those of the whole value."""
    counts: dict[str, int] = {}
    for alternatives in by_place.values():
        for name, messages in alternatives.items():
            counts[name] = counts.get(name, 0) + len(messages)
    models = {name for name in counts if name[:1].isupper()}
    dropped = models - {min(models, key=lambda name: counts[name])} if models else set()
    kept = {
        place: {name: messages for name, messages in alternatives.items() if name not in dropped}
        for place, alternatives in by_place.items()
        if "" in alternatives or not any("" not in by_place.get(place[:n], {"": []}) for n in range(1, len(place)))
    }
    return {place: alternatives for place, alternatives in kept.items() if alternatives}


def _alternatives(alternatives: dict[str, list[str]]) -> str:
    """Join the messages of one location: ``Input should be a valid string or a valid list``."""
    texts = list(dict.fromkeys(text for messages in alternatives.values() for text in messages))
    start = "Input should be "
    if len(texts) > 1 and all(text.startswith(start) for text in texts):
        return start + " or ".join(dict.fromkeys(text.removeprefix(start).split(",")[0] for text in texts))
    return "; or ".join(texts)


def _line(root: yaml.Node, places: tuple[str | int, ...]) -> int:
    """Find the line of an invalid value, or of the mapping that lacks a key."""
    node, line = root, root.start_mark.line
    for place in places:  # some places are no keys but kinds that were tried
        if isinstance(node, yaml.SequenceNode) and isinstance(place, int) and place < len(node.value):
            node = node.value[place]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(place):
                    node, line = value, key.start_mark.line
                    break
    return int(line) + 1


class _Loader(yaml.SafeLoader):
    """YAML loader for plain data: no tags, no aliases, no duplicate keys, limited depth."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not allowed{self.peek_event().start_mark}")  # type: ignore[no-untyped-call]
        if self.depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"more than {_MAX_DEPTH} levels{self.peek_event().start_mark}")  # type: ignore[no-untyped-call]
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError) as error:
            # what looks like a date or a number and is none, a 30th of February for instance
            raise yaml.YAMLError(f"{node.value!r} cannot be read ({error}){node.start_mark}") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, Hashable):
                continue  # refused below
            if key in keys:
                raise yaml.YAMLError(f"key {key!r} stands twice{key_node.start_mark}")
            keys.add(key)
        return super().construct_mapping(node, deep=deep)
