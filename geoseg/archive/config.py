"""ArchiveConfig: the configuration of an archive run, as data. See ``configs/archives``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from geoseg.archive.sources.config import FolderSource, SourceConfig
from geoseg.core.choices import Neighbours, Precision, RuntimeName
from geoseg.core.digest import sha256_of_json
from geoseg.core.spec import PredictSpec
from geoseg.core.types.json_value import JsonDict, UntypedDict
from geoseg.io.files.drivers import is_address, is_remote, whole_address
from geoseg.io.files.yaml_file import read_config
from geoseg.io.labels.area_of_interest import area_digest
from geoseg.io.objects.access import is_s3
from geoseg.io.raster.open_options import ConfiguredAlpha, OpenOptions

_WORK = ".geoseg-work"
"""Folder of this machine where the scenes of an archive on a store are made, below that of the configuration."""
_STORE = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,62}(/(?!\.{1,2}(/|$))[^/?#@]+)*/?")


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Opening(_Config):
    """Options for opening scenes; see ``geoseg predict``.

    Attributes:
        assume_crs: CRS of scenes that carry none, ``EPSG:32633``.
        assume_gsd_m: pixel side, metres, of images without georeference; they are placed at a made-up location.
        alpha: use of a band as mask: ``auto``, ``yes`` or ``no``; see ``OpenOptions``.
        nodata: one more value that means no measurement, in all bands.
        allow_vrt: read .vrt files.
        vrt_root: folder that holds all sources of a VRT; default: the VRT's own.
        allow_remote: read https:// and s3:// addresses; without it no request is ever sent.
        assets: of STAC items, the assets to read, by key or common name; none: all data assets.
        subdataset: of files that hold several rasters, the one to read, by name, number or description.
        max_mpx: largest scene taken, million pixels.
    """

    assume_crs: str | None = None
    assume_gsd_m: Annotated[float, Field(gt=0)] | None = None
    alpha: ConfiguredAlpha = "auto"
    nodata: float | None = None
    allow_vrt: bool = False
    vrt_root: Path | None = None
    allow_remote: bool = False
    assets: tuple[str, ...] = ()
    subdataset: Annotated[str, Field(pattern=r"[^\s/]")] | None = None
    max_mpx: Annotated[float, Field(gt=0)] = 40_000.0

    def pixel_options(self) -> JsonDict:
        """Options that can change a layer. Options added later are left out while unset, so that digests stay equal."""
        always = self.model_dump(mode="json", include={"assume_crs", "assume_gsd_m", "assets"})
        return always | self.model_dump(mode="json", include={"alpha", "nodata", "subdataset"}, exclude_defaults=True)

    def options(self) -> OpenOptions:
        """The same options as ``OpenOptions``."""
        return OpenOptions(
            assume_crs=self.assume_crs,
            assume_gsd_m=self.assume_gsd_m,
            alpha=self.alpha,
            nodata=self.nodata,
            allow_vrt=self.allow_vrt,
            vrt_root=None if self.vrt_root is None else str(self.vrt_root),
            allow_remote=self.allow_remote,
            assets=self.assets,
            subdataset=self.subdataset,
            max_pixels=int(self.max_mpx * 1e6),
        )


class ClusterClass(_Config):
    """A Dask cluster that is started for the run and stopped after it.

    Attributes:
        name: its class with its module, ``dask_jobqueue.SLURMCluster``; see ``geoseg.run.cluster.KNOWN_PACKAGES``.
        options: keyword arguments of the class.
        scale: arguments of its ``scale`` (``{jobs: 10}``, ``{n: 4}``); none: as it starts.
        adapt: arguments of its ``adapt`` (``{minimum: 0, maximum: 50}``) instead of ``scale``.
        worker_groups: arguments of its ``add_worker_group``, for each further kind of workers (dask-kubernetes).
        cpu_workers: further processes on this machine that open scenes and write layers, so that the cluster's
            workers, which must declare ``GPU``, only run networks; not with ``adapt``.
        wait_for: Dask resources, such as ``GPU``, that workers must declare before the run begins.
        timeout_s: how long to wait for the first worker, and for these resources.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    options: UntypedDict = Field(default_factory=dict)
    scale: UntypedDict = Field(default_factory=dict)
    adapt: UntypedDict = Field(default_factory=dict)
    worker_groups: tuple[UntypedDict, ...] = ()
    cpu_workers: Annotated[int, Field(ge=0, le=256)] = 0
    wait_for: tuple[str, ...] = ()
    timeout_s: Annotated[float, Field(gt=0)] = 600.0

    @model_validator(mode="after")
    def _of_fixed_size(self) -> Self:
        if self.adapt and self.cpu_workers:  # Dask's adaptive scaling retires workers that it did not start
            raise ValueError("adapt ends the processes of cpu_workers; give scale instead")
        return self


class ArchiveConfig(_Config):
    """Configuration of one archive: source of its scenes, model, options, output folder and workers.

    In a file, paths are relative to the file's own folder; built in Python, to the current one. They are made absolute.

    Attributes:
        version: of this format.
        source: where the scenes are.
        model: name of a bundled model, path of a model file or of an ensemble file (``.json``).
        out: folder of the archive's output; each scene gets its own inside. ``s3://BUCKET/PREFIX``: a place on an
            object store, as ``store``; scenes are then made in ``.geoseg-work`` in the folder of the configuration.
        store: place on an object store to which each scene is brought when it is whole; ``out`` is then the folder
            where scenes are made, and keeps none.
        blocks: place on an object store, ``s3://BUCKET/PREFIX``, for finished blocks, where the workers of a cluster do
            not see ``out``; scenes are then opened, and their layers written, by the process of the run.
        title: of the archive, for its catalogue and report; default: the output folder's name.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        predict: options of ``geoseg predict``.
        opening: how scenes may be opened.
        workers: processes on this machine; 0 is none, the scenes one after another in the run's own process. Default:
            one for each GPU, one where there is none. Not with ``scheduler`` or ``cluster``.
        scheduler: address or scheduler file of a Dask cluster that runs already.
        cluster: a Dask cluster to be started.
        dashboard_port: port of this machine, on loopback, for Dask's dashboard of processes on this machine; default: a
            free port that is not told.
        neighbours: ``auto``: pixels beyond a scene's edges are read from the scenes of the archive that lie there on
            the same grid, so that maps meet without a seam; ``none``: each scene is segmented by itself.
        redo_neighbours: segment finished scenes again when a neighbour comes, changes or goes; if not, they stay.
        one_layer: ``parquet``: also write the polygons of all scenes as one layer, in which objects that borders cut
            are whole, in GeoParquet files of one scene each; ``pmtiles``: as one PMTiles too; ``none``: neither.
        allow_empty: take a source without a scene for an empty archive; it is refused otherwise, since a folder that is
            not mounted looks like one.
        scenes_in_flight: scenes begun and not finished at a time; default: four for each worker, 256 at most.
        attempts: how often a scene that comes over the network is tried when reading it fails; others are not retried.
        backoff_s: pause before the second attempt, seconds; doubled before each further one.
        on_lock: when another run works on the output: ``refuse``, or ``wait`` for it to end.
    """

    version: Literal[1] = 1
    source: SourceConfig
    model: str
    out: Path
    store: str | None = None
    blocks: str | None = None
    title: str = ""
    device: str = "auto"
    runtime: RuntimeName = "auto"
    precision: Precision = "auto"
    predict: PredictSpec = PredictSpec()
    opening: Opening = Opening()
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    scheduler: str | None = None
    cluster: ClusterClass | None = None
    dashboard_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    neighbours: Neighbours = "auto"
    redo_neighbours: bool = True
    one_layer: Literal["none", "parquet", "pmtiles"] = "none"
    allow_empty: bool = False
    scenes_in_flight: Annotated[int, Field(ge=1, le=1024)] | None = None
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    backoff_s: Annotated[float, Field(ge=0)] = 1.0
    on_lock: Literal["refuse", "wait"] = "refuse"

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a configuration from YAML.

        Raises:
            UsageError: the file cannot be read, is not YAML, or is wrong somewhere; all errors at once.
        """
        path = Path(path)
        return read_config(path, cls, {"folder": path.absolute().parent})

    @field_validator("source", mode="before")
    @classmethod
    def _folder_is_enough(cls, value: object) -> object:
        """Read a plain path, or a source without ``kind``, as a folder source."""
        if value == "":
            raise ValueError("is empty; name a folder")
        if isinstance(value, str | Path):
            return {"kind": "folder", "path": str(value)}
        return {"kind": "folder", **value} if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _store_as_out(cls, values: object) -> object:
        """Read an ``out`` on an object store as ``store``, with a folder of this machine to make scenes in."""
        if not isinstance(values, dict) or not isinstance(values.get("out"), str | Path):
            return values
        address = whole_address(str(values["out"])).rstrip("/")
        if not is_s3(address):
            return values
        if values.get("store") is not None:
            raise ValueError("out and store: give one address, or a folder as out")
        if not _STORE.fullmatch(address):
            raise ValueError("out: write s3://BUCKET/PREFIX")
        mark = sha256_of_json(address)[:8]
        return {**values, "store": address, "out": Path(_WORK, mark, address.rpartition("/")[2])}

    @field_validator("store", "blocks")
    @classmethod
    def _store_is_one(cls, value: str | None) -> str | None:
        if value is not None and not _STORE.fullmatch(value):
            raise ValueError("write s3://BUCKET/PREFIX")
        return None if value is None else value.rstrip("/")

    @field_validator("out", mode="before")
    @classmethod
    def _out_is_named(cls, value: object) -> object:
        if value == "":
            raise ValueError("is empty; name a folder")
        if isinstance(value, str | Path) and is_address(str(value)):
            raise ValueError("only folders and s3:// stores take output")
        return value

    @field_validator("out")
    @classmethod
    def _out_from_here(cls, value: Path, info: ValidationInfo) -> Path:
        """Refuse a path that cannot be a folder; a missing folder is created by the run."""
        out = _from_folder(value, info)
        taken = [path for path in (out, *out.parents) if os.path.lexists(path) and not path.is_dir()]
        if taken:
            raise ValueError(f"{taken[0]} is no folder; choose another")
        return out

    @field_validator("model")
    @classmethod
    def _model_from_here(cls, value: str, info: ValidationInfo) -> str:
        relative = _from_folder(Path(value), info)
        return str(relative) if relative.suffix in {".safetensors", ".json"} else value

    @field_validator("scheduler")
    @classmethod
    def _scheduler_from_here(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value if value is None or "://" in value else str(_from_folder(Path(value), info))

    @field_validator("opening")
    @classmethod
    def _root_from_here(cls, value: Opening, info: ValidationInfo) -> Opening:
        if value.vrt_root is None:
            return value
        return value.model_copy(update={"vrt_root": _from_folder(value.vrt_root, info)})

    @field_validator("predict")
    @classmethod
    def _area_from_here(cls, value: PredictSpec, info: ValidationInfo) -> PredictSpec:
        if value.aoi is None or is_remote(value.aoi):
            return value
        return value.model_copy(update={"aoi": str(_from_folder(Path(value.aoi), info))})

    @field_validator("source")
    @classmethod
    def _source_from_here(cls, value: Any, info: ValidationInfo) -> Any:
        files = {name: file for name in ("path", "area") if (file := getattr(value, name, None)) is not None}
        local = {name: file for name, file in files.items() if "://" not in str(file) and not is_remote(str(file))}
        return value.model_copy(
            update={name: type(file)(_from_folder(Path(file), info)) for name, file in local.items()}
        )

    @property
    def place(self) -> str:
        """Place of the output, for messages: the folder, or the address on the store."""
        return str(self.out) if self.store is None else self.store

    @model_validator(mode="after")
    def _one_crew(self) -> Self:
        named = [name for name in ("workers", "scheduler", "cluster") if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)}: give one of them")
        if self.dashboard_port is not None and (self.workers == 0 or named not in ([], ["workers"])):
            raise ValueError(
                "dashboard_port: is for workers on this machine, at least 1; a cluster has its own dashboard"
            )
        return self

    def options_digest(self) -> str:
        """Digest of all options that can change a layer."""
        aoi = self.predict.aoi
        area = None
        if aoi is not None:
            area = Path(aoi).read_bytes().hex() if Path(aoi).is_file() else area_digest(aoi)
        return sha256_of_json(
            {
                "predict": self.predict.model_dump(mode="json") | {"aoi": area},
                "opening": self.opening.pixel_options(),
            }
        )


def in_configuration(text: str) -> str:
    """Turn the options of ``geoseg predict`` in a message into the keys of an archive's configuration.

    Examples:
        >>> in_configuration("Pass --assume-crs EPSG:code.")
        'Set opening: assume_crs: EPSG:code.'
    """
    text = re.sub(r"\b([Pp])ass (?=(?:an? \w+ )?--)", lambda found: "Set " if found[1] == "P" else "set ", text)
    return re.sub(
        r"(?<![^\s(])--([a-z][a-z-]*)( [A-Z]+:\w+| LOW,HIGH| (?:auto|no|N|FOLDER)\b| \d+(?:,\d+)+)?", _key, text
    )


def _key(option: re.Match[str]) -> str:
    name, value = option[1].replace("-", "_"), f":{option[2]}" if option[2] else ""
    if name in Opening.model_fields:
        return f"opening: {name}{value}"
    if name in PredictSpec.model_fields:
        return f"predict: {name}{value}"
    return f"{name}{value}" if name in ArchiveConfig.model_fields else option[0]


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    """Make a path absolute, relative to the file's folder or else the current one, and remove ``..``."""
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r} is no path")
    whole = ((info.context or {}).get("folder") or Path.cwd()) / path
    return Path(os.path.realpath(whole)) if ".." in whole.parts else whole


__all__ = ["ArchiveConfig", "ClusterClass", "FolderSource", "Opening", "in_configuration"]
