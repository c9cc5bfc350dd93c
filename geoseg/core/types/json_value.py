"""Types of values that JSON and YAML hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value of a JSON document."""

JsonObject: TypeAlias = Mapping[str, JSON]
"""An object of a JSON document, to be read."""

JsonDict: TypeAlias = dict[str, JSON]
"""An object of a JSON document, while it is built."""

UntypedDict: TypeAlias = dict[str, Any]
"""A parsed document or a record whose members are checked where they are used, not by their types."""

UntypedMapping: TypeAlias = Mapping[str, Any]
"""The same, to be read only."""
