"""Ensemble files: JSON that lists the models whose predictions are averaged.

.. code-block:: json

    {"members": [{"model": "buildings-unet", "weight": 2}, {"model": "mine.safetensors"}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.errors import ModelError
from geoseg.io.files.input_file import read_input

_MAX_BYTES = 100_000


class _Member(BaseModel):
    """A bundled name, or a model file relative to the ensemble file, and its weight in the mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class _Ensemble(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[_Member, ...] = Field(min_length=1, max_length=64)


def is_ensemble_file(name_or_path: str) -> bool:
    """Return True if a name is that of an ensemble file."""
    return Path(name_or_path).suffix.lower() == ".json"


def read_members(name_or_path: str, weight: float = 1.0) -> list[tuple[str, float]]:
    """List the models of an ensemble file, or the single model of another name.

    Args:
        name_or_path: an ensemble file (``.json``), or the name of a single model.
        weight: total weight, which is divided among the members.

    Returns:
        Names or paths, each with its weight.

    Raises:
        ModelError: the file cannot be read or is not an ensemble file.
    """
    if not is_ensemble_file(name_or_path):
        return [(name_or_path, weight)]
    path = Path(name_or_path)
    try:
        content = read_input(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    if len(content) > _MAX_BYTES:
        raise ModelError(f"{path}: {len(content)} bytes; an ensemble file has at most {_MAX_BYTES}.")
    try:
        members = _Ensemble.model_validate_json(content).members
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "file"
        expected = '{"members": [{"model": "NAME or file"}]}'
        raise ModelError(f"{path}: not an ensemble file: {place}: {first['msg']}. Write {expected}.") from error
    total = sum(member.weight for member in members)
    return [(_path(path, member.model), weight * member.weight / total) for member in members]


def _path(path: Path, model: str) -> str:
    """Resolve a file name relative to the ensemble file; other text is a bundled name."""
    if is_ensemble_file(model):
        raise ModelError(f"{path}: lists another ensemble file, {model}. List its models instead.")
    return str(path.parent / model) if Path(model).suffix or "/" in model else model
