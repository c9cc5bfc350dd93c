"""Draft of an archive's configuration: written with comments, then checked on the first scenes of its source."""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.sources.find import SceneRef, find_scenes
from geoseg.core.card import ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.errors import GeosegError, SceneError
from geoseg.io.files.drivers import is_remote
from geoseg.io.files.yaml_file import parse_config, yaml_scalar
from geoseg.io.raster.scene import Scene
from geoseg.models.packages import open_package
from geoseg.run.plan import make_plan

SourceKind = Literal["folder", "list", "stac", "vaihingen", "potsdam", "deepglobe"]
_OPENING: Final[dict[str, str]] = {
    "vaihingen": "assume_crs: EPSG:32632  # its world files name none",
    "potsdam": "assume_crs: EPSG:32633  # its world files name none",
    "deepglobe": "assume_gsd_m: 0.5  # its pictures have no georeference; they are laid out at a made-up place",
}
"""Line of ``opening`` that a published set needs."""
_LOOKED_AT: Final = 20
_MOST_LISTED: Final = 100_000


class ArchiveRequest(BaseModel):
    """Request for the configuration of an archive.

    Attributes:
        source: folder of scenes, text file with a list of them, STAC file or address, or folder of a published set.
        kind: kind of the source; None: by the name: ``.txt`` is a list, ``.json`` and addresses are STAC.
        glob: names to take from a folder.
        model: bundled model or model file.
        out: folder of the archive's output.
        title: of the archive.
        assume_crs: CRS of scenes that carry none.
        allow_remote: read addresses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(min_length=1)]
    kind: SourceKind | None = None
    glob: str | None = None
    model: Annotated[str, Field(min_length=1)]
    out: Path
    title: str = ""
    assume_crs: str | None = None
    allow_remote: bool = False

    @property
    def source_kind(self) -> SourceKind:
        """The kind, given or by the name."""
        if self.kind is not None:
            return self.kind
        suffix = Path(self.source).suffix.lower()
        if suffix == ".txt":
            return "list"
        return "stac" if suffix == ".json" or is_remote(self.source) else "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDraft:
    """A configuration that was checked on its source.

    Attributes:
        text: the YAML.
        config: the same, read.
        findings: facts about the scenes, a sentence each.
        warnings: what should be changed before the run.
    """

    text: str
    config: ArchiveConfig
    findings: tuple[str, ...]
    warnings: tuple[str, ...]

    @staticmethod
    def command(path: Path) -> str:
        """Return the command that runs the configuration saved at a path."""
        return shlex.join(["geoseg", "archive", "run", str(path)])


def draft_archive(request: ArchiveRequest, folder: Path) -> ArchiveDraft:
    """Write a configuration and check it on the first scenes of its source.

    Args:
        request: source, model and wishes; paths are relative to the current folder.
        folder: folder that the file will stand in; paths of the file are relative to it.

    Raises:
        UsageError: the source does not exist, or is empty.
        SceneError: none of the first scenes can be read with the model.
        ModelError: the model is unknown or broken.
    """
    card = open_package(request.model).card
    text = _text(request, folder, card)
    config = parse_config(text.encode(), ArchiveConfig, "the new configuration", {"folder": folder.absolute()})
    refs = list(itertools.islice(find_scenes(config), _MOST_LISTED))
    if not refs:
        raise SceneError(request.source, "no scene is there.", "Check the path and --glob.")
    looked = [_look(ref, config, card) for ref in refs[:_LOOKED_AT]]
    refused = [reason for _, reason in looked if reason]
    if len(refused) == len(looked):
        raise SceneError(refs[0].uri, f"the model cannot read it: {refused[0]}", "Choose another --model.")
    return ArchiveDraft(
        text=text,
        config=config,
        findings=tuple(_findings(len(refs), [facts for facts, reason in looked if not reason])),
        warnings=tuple(f"{reason}" for reason in refused),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    crs: str
    bands: str
    gsd_m: float
    resampled: bool


def _look(ref: SceneRef, config: ArchiveConfig, card: ModelCard) -> tuple[_Look | None, str]:
    """Open a scene and match it with the model; return the facts or the reason of a refusal."""
    try:
        with Scene(ref.uri, config.opening.options()) as scene:
            plan = make_plan(scene, card, PredictSpec(bands=config.predict.bands))
            crs = scene.geobox.crs
            sides = plan.read.scene_gsd_m
            return _Look(
                crs="none" if crs is None else f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else str(crs)[:60],
                bands=", ".join(band.name for band in scene.bands),
                gsd_m=float(sum(sides) / 2),
                resampled=tuple(plan.read.work_shape) != tuple(scene.geobox.shape),
            ), ""
    except GeosegError as error:
        return None, str(error)


def _findings(number: int, looks: list[_Look | None]) -> Iterator[str]:
    seen = [look for look in looks if look is not None]
    more = "at least " if number >= _MOST_LISTED else ""
    yield f"{more}{number:,} scene{'' if number == 1 else 's'}; {len(looks)} that the model reads were looked at"
    for title, counts in (("bands", Counter(one.bands for one in seen)), ("CRS", Counter(one.crs for one in seen))):
        yield f"{title}: {'; '.join(f'{value} ({count})' for value, count in counts.most_common(4))}"
    low, high = min(one.gsd_m for one in seen), max(one.gsd_m for one in seen)
    yield f"pixels of {low:.4g} to {high:.4g} m" if high > low * 1.001 else f"pixels of {low:.4g} m"
    resampled = sum(one.resampled for one in seen)
    if resampled:
        yield f"{resampled} of them are resampled to the pixel sizes of the model"


def _text(request: ArchiveRequest, folder: Path, card: ModelCard) -> str:
    kind = request.source_kind
    model = _relative(request.model, folder) if _is_path(request.model) else request.model
    lines = [
        "# Configuration of an archive of geoseg. All keys: docs/archives.md. Paths are relative to this file.",
        "version: 1",
        "source:",
        f"  kind: {kind}",
        f"  path: {yaml_scalar(_relative(request.source, folder))}",
    ]
    if kind == "folder":
        lines += [
            f"  glob: {yaml_scalar(request.glob)}"
            if request.glob
            else '  # glob: "*.tif"  # names to take; default: all rasters',
            '  # exclude: ["*_labels.tif"]',
            "  # bands: [nir, red, green]  # if the files do not name them",
            "  poll_s: 10  # with --watch: seconds between two looks",
            "  settle_s: 10  # with --watch: a file is taken when it has stood still for so long",
        ]
    lines += [
        "",
        f"# It needs {', '.join(card.band_names)}, and pixels of {card.gsd_m.min:g} to {card.gsd_m.max:g} m.",
        f"model: {yaml_scalar(model)}",
        f"out: {yaml_scalar(_relative(str(request.out), folder))}",
        f"title: {yaml_scalar(request.title or request.out.name)}",
        "",
        "device: auto  # or cpu, cuda, cuda:N",
        "runtime: auto  # or torch, openvino, onnxruntime",
        "precision: auto  # or fp32, bf16, fp16",
        "",
        "predict:  # the options of geoseg predict, with underscores",
        "  simplify_m: 0  # tolerance for simpler polygons, metres; 0: exact",
        f"  min_area_m2: {card.min_area_m2:g}  # smaller polygons join a neighbour",
        "  # bands: [3, 2, 1]",
        "  # aoi: area.gpkg",
        "",
        "opening:",
        f"  {_opening(request)}",
        f"  allow_remote: {str(request.allow_remote).lower()}  # read https:// and s3:// addresses",
        "  max_mpx: 40000",
        "",
        "workers: 0  # processes on this machine; 0: none, one scene after another",
        "on_lock: refuse  # or wait, when another run works on the output",
        "",
    ]
    return "\n".join(lines)


def _opening(request: ArchiveRequest) -> str:
    if request.assume_crs:
        return f"assume_crs: {yaml_scalar(request.assume_crs)}"
    return _OPENING.get(request.source_kind, "# assume_crs: EPSG:32633")


def _is_path(model: str) -> bool:
    return Path(model).suffix in {".safetensors", ".json"}


def _relative(path: str, folder: Path) -> str:
    """Return a path relative to a folder if it lies in it, else absolute; addresses stay."""
    if "://" in path or is_remote(path):
        return path
    whole, base = Path(path).absolute(), folder.absolute()
    return str(whole.relative_to(base)) if whole.is_relative_to(base) else str(whole)
