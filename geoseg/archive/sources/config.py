"""Configuration of the source of an archive's scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from geoseg.core.types.json_value import UntypedDict


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FolderSource(_Config):
    """Files of a folder.

    Attributes:
        path: the folder.
        recursive: take the folders inside too.
        glob: names to take, ``*.tif`` or ``*/ortho/*.tif``; against the path relative to the folder when it has a
            slash, else against the file's name. Default: every raster.
        exclude: names to leave out, as ``glob``.
        bands: names of the files' bands in order, where the files do not name them: ``[nir, red, green]``.
        poll_s: when watching, seconds between two listings of the folder.
        settle_s: when watching, seconds for which a file's size and time of change must be constant before it is taken.
    """

    kind: Literal["folder"] = "folder"
    path: Path
    recursive: bool = True
    glob: str | None = None
    exclude: tuple[str, ...] = ()
    bands: tuple[str, ...] | None = None
    poll_s: Annotated[float, Field(gt=0)] = 10.0
    settle_s: Annotated[float, Field(ge=0)] = 10.0


class ListSource(_Config):
    """A text file, one path or address a line; ``#`` begins a comment. Paths are relative to the file's folder.

    Attributes:
        path: the file.
        bands: see ``FolderSource``.
    """

    kind: Literal["list"]
    path: Path
    bands: tuple[str, ...] | None = None


class StacSource(_Config):
    """Items of a STAC catalogue, collection, item collection or API.

    Attributes:
        path: file or address: ``catalog.json``, ``https://host/collections/ortho`` or the root of an API.
        collections: take items of these only; with an API its ``collections`` parameter.
        bbox: take items that touch this box only: west, south, east, north in degrees.
        datetime: take items of this time only: ``2024-05-01T00:00:00Z`` or an interval ``START/END``, ``..`` for open.
        area: a vector file in any CRS, or ``FILE:LAYER``: take items whose footprint touches one of its polygons only.
        max_cloud_percent: take items only that tell a cloud cover of this or less (``eo:cloud_cover``).
        limit: items asked for in one request to an API.
        max_items: stop after so many.
    """

    kind: Literal["stac"]
    path: str
    collections: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    datetime: str | None = None
    area: str | None = None
    max_cloud_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_items: Annotated[int, Field(ge=1)] | None = None


class ObjectsSource(_Config):
    """Objects under a prefix, listed by obstore (``s3://``) or fsspec; GDAL reads them by address, never a copy.

    Attributes:
        path: ``s3://bucket/prefix``, ``gs://...``, ``https://host/folder/`` or ``file:///folder``.
        glob: see ``FolderSource``.
        exclude: see ``FolderSource``.
        options: of the fsspec file system, which also lists ``s3://`` then: ``{anon: true}``. No secrets: they belong
            into the environment.
        bands: see ``FolderSource``.
    """

    kind: Literal["objects"]
    path: str
    glob: str | None = None
    exclude: tuple[str, ...] = ()
    options: UntypedDict = Field(default_factory=dict)
    bands: tuple[str, ...] | None = None


class VaihingenSource(_Config):
    """ISPRS Vaihingen as published: ``top/top_mosaic_09cm_area*.tif`` (near infrared, red, green) or ``dsm/``.

    Attributes:
        path: the folder that holds ``top`` and ``dsm``, or ``ISPRS_semantic_labeling_Vaihingen``.
        images: which rasters: ``irrg`` or ``dsm``.
    """

    kind: Literal["vaihingen"]
    path: Path
    images: Literal["irrg", "dsm"] = "irrg"


class PotsdamSource(_Config):
    """ISPRS Potsdam as published: ``2_Ortho_RGB``, ``3_Ortho_IRRG``, ``4_Ortho_RGBIR`` and ``1_DSM``.

    Attributes:
        path: the folder that holds them.
        images: which rasters: ``rgb``, ``irrg``, ``rgbir`` or ``dsm``.
    """

    kind: Literal["potsdam"]
    path: Path
    images: Literal["rgb", "irrg", "rgbir", "dsm"] = "rgbir"


class DeepGlobeSource(_Config):
    """DeepGlobe land cover: ``ID_sat.jpg``, without georeference.

    Attributes:
        path: the folder that holds ``train``, ``valid`` and ``test``, ``land-train`` and so on, or torchgeo's ``data``;
            or one of images.
        splits: which of them.
    """

    kind: Literal["deepglobe"]
    path: Path
    splits: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")


SourceConfig = Annotated[
    FolderSource | ListSource | StacSource | ObjectsSource | VaihingenSource | PotsdamSource | DeepGlobeSource,
    Field(discriminator="kind"),
]
