"""Configuration files: YAML that is data only, checked whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from geoseg.errors import UsageError

_MAX_BYTES = 1_000_000

Value = TypeVar("Value", bound=BaseModel)


def read_config(path: Path, kind: type[Value], context: dict[str, Any] | None = None) -> Value:
    """Read a value from YAML.

    Args:
        path: the file.
        kind: what it holds.
        context: for the value's validators.

    Raises:
        UsageError: the file cannot be read, is not YAML, or holds what the value must not; all errors at once.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{path}: {len(content)} bytes; a configuration has at most {_MAX_BYTES}.")
        document = yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 - a SafeLoader without aliases
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return kind.model_validate(document, context=context)
    except ValidationError as error:
        raise UsageError(f"{path}: {faults(error)}") from error


def faults(error: ValidationError) -> str:
    """Tell all that is wrong with a value in one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top'}: {e['msg']}" for e in error.errors())


class _Loader(yaml.SafeLoader):
    """Plain data only: no tags, no aliases, no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not allowed{self.peek_event().start_mark}")  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key, (key_node, _) in zip(keys, node.value, strict=True):
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} stands twice{key_node.start_mark}")
        return super().construct_mapping(node, deep=deep)
