"""Configuration files: YAML that is data only, checked whole."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from geoseg.errors import UsageError

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 50

Value = TypeVar("Value", bound=BaseModel)


def read_config(path: Path, kind: type[Value], context: dict[str, Any] | None = None) -> Value:
    """Read a value from YAML.

    Args:
        path: the file.
        kind: what it holds.
        context: for the value's validators.

    Raises:
        UsageError: the file cannot be read, is not YAML, or holds what the value must not; all errors at once, with
            their lines.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{path}: {len(content)} bytes; a configuration has at most {_MAX_BYTES}.")
        loader = _Loader(content.decode("utf-8"))
        root = loader.get_single_node()
        document = None if root is None else loader.construct_document(root)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return kind.model_validate(document, context=context)
    except ValidationError as error:
        raise UsageError(f"{path}: {faults(error, root)}") from error


def faults(error: ValidationError, root: yaml.Node | None = None) -> str:
    """Tell all that is wrong with a value in one line.

    Args:
        error: of the validation.
        root: of the file that the value was read from, to tell the lines.
    """
    told = []
    for fault in error.errors():
        line = "" if root is None else f" (line {_line(root, fault['loc'])})"
        told.append(f"{'.'.join(map(str, fault['loc'])) or 'top'}: {fault['msg']}{line}")
    return "; ".join(told)


def _line(root: yaml.Node, places: tuple[str | int, ...]) -> int:
    """Find the line of what is wrong, or of what it is missing from."""
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
    """Plain data only: no tags, no aliases, no key twice, not too deep."""

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
