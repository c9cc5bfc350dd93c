"""Parameters of flows: JSON values, as a scheduler keeps them, converted to configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.archive.config import ArchiveConfig, Opening
from geoseg.core.choices import Precision, RuntimeName
from geoseg.core.spec import PredictSpec
from geoseg.core.types.json_value import JsonObject, UntypedDict
from geoseg.errors import UsageError

Value = TypeVar("Value", bound=BaseModel)

SET_HELP = "Any other field of the configuration, e.g. workers=4 or predict.simplify_m=0.5; may be repeated."


class SceneOptions(BaseModel):
    """Options of the flow of one scene, other than scene, model and output; see ``geoseg predict``.

    Attributes:
        workers: processes on this machine that share the blocks; None: this one.
        scheduler: address of a Dask scheduler whose workers predict.
        name: folder and stem of the output, instead of the scene's own.
        overwrite: replace an existing output that was made with other options.
        gpu_limit: a global concurrency limit; the scene holds one slot of it while its network runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "auto"
    runtime: RuntimeName = "auto"
    precision: Precision = "auto"
    predict: PredictSpec = PredictSpec()
    opening: Opening = Opening()
    workers: Annotated[int, Field(ge=1)] | None = None
    scheduler: str | None = None
    name: str | None = None
    overwrite: bool = False
    gpu_limit: str | None = None


def checked(kind: type[Value], given: JsonObject, where: str) -> Value:
    """Make a value of what was given.

    Raises:
        UsageError: names every field that is wrong.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top'}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{where}: {faults}") from error


def fields(assignments: list[str] | None) -> UntypedDict:
    """Turn ``name=value`` and ``group.name=value`` into fields; values are read as YAML.

    Raises:
        UsageError: something is no assignment.

    Examples:
        >>> fields(["workers=4", "predict.simplify_m=0.5"])
        {'workers': 4, 'predict': {'simplify_m': 0.5}}
    """
    found: UntypedDict = {}
    for assignment in assignments or []:
        name, mark, text = assignment.partition("=")
        *groups, last = name.strip().split(".")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {assignment}: {' '.join(str(error).split())}") from error
        if not mark or not last:
            raise UsageError(f"--set {assignment}: FIELD=VALUE is expected.")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {assignment}: {group} has a value of its own already.")
        place[last] = value
    return found


def archive_config(file: Path | None, options: dict[str, object] | None = None, /, **given: object) -> ArchiveConfig:
    """Read an archive's configuration, or make it of what was given, or both; what was given counts.

    Args:
        file: YAML; see ``configs/archives``.
        options: fields of ``ArchiveConfig``; those of a group go beside the file's.
        given: fields of ``ArchiveConfig`` that count more than ``options``, which may say more of a ``source`` that is
            a folder; None: not given.

    Raises:
        UsageError: neither is enough, or something is wrong; all errors at once.
    """
    known = (options or {}) | {name: value for name, value in given.items() if value is not None}
    whole = {} if file is None else ArchiveConfig.read(file).model_dump(exclude_unset=True)
    more = (options or {}).get("source")
    if isinstance(known.get("source"), str) and isinstance(more, dict):
        known["source"] = {**more, "path": known["source"]}
        whole.pop("source", None)  # it is another one
    if file is None and not {"source", "model", "out"} <= known.keys():
        raise UsageError("give a configuration file, or source, model and out.")
    for group in whole.keys() & known.keys():
        if isinstance(whole[group], dict) and isinstance(known[group], dict):
            known[group] = whole[group] | known[group]
    if known.keys() & {"workers", "scheduler", "cluster"}:
        whole = {name: value for name, value in whole.items() if name not in {"workers", "scheduler", "cluster"}}
    return checked(ArchiveConfig, whole | known, str(file or "archive"))
