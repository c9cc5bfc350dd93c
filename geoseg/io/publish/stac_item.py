"""STAC item of one output: its layers, footprint and provenance."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from pyproj import CRS
from pyproj.exceptions import CRSError

from geoseg.core.card import ModelCard
from geoseg.core.ground import gsd_m
from geoseg.core.layer import Layer, OutputSchema, RasterLayer
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import JsonDict, JsonObject, UntypedDict, UntypedMapping
from geoseg.io.files.drivers import is_remote, local_name
from geoseg.io.files.writing import write_json
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.classification import classification
from geoseg.io.publish.grid import LayerGrid, footprint
from geoseg.io.publish.layer_kinds import kind_of
from geoseg.io.services.address import service_kind, without_kind

STAC_VERSION = "1.1.0"
CATALOGUE_FILE, COLLECTION_FILE, COLLECTION_ID = "catalog.json", "collection.json", "scenes"
"""Root and collection of an archive's catalogue, in the archive's folder."""
_EXTENSIONS = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("classification/v2.0.0", "file/v2.1.0", "processing/v1.2.0", "projection/v2.0.0", "raster/v2.0.0")
)
DOCUMENTS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = MappingProxyType(
    {
        "project": ("QGIS project", "application/x-qgis-project", ("metadata", "project")),
        "preview": ("Imagery and prediction", "image/png", ("overview",)),
        "run": ("Run record", "application/json", ("metadata",)),
    }
)
"""Assets of a bundle other than layers: key to title, media type and roles."""
SHA256_PREFIX = "1220"  # multihash: function 0x12 (sha2-256), 0x20 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The scene that the layers come from.

    Attributes:
        uri: path or address.
        sha256: digest of its content, hexadecimal; empty if not computed.
        acquired: acquisition time of the imagery, with time zone; None if unknown.
        subdataset: of a file that holds several rasters, the one that was read; None otherwise.
        service: what was read of a tile or map service; None for files.
    """

    uri: str
    sha256: str = ""
    acquired: datetime | None = None
    subdataset: str | None = None
    service: JsonDict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run that made the layers.

    Attributes:
        finished: end of the run, with time zone.
        software: versions by name.
        facts: anything more, JSON values by name; they appear as ``geoseg:NAME``.
    """

    finished: datetime
    software: Mapping[str, str]
    facts: UntypedMapping = field(default_factory=dict)


def write_item(
    bundle: Bundle, schema: OutputSchema, *, grid: LayerGrid, card: ModelCard, source: Source, run: Run
) -> None:
    """Write ``bundle.item`` for the files of the bundle that exist.

    In an archive's folder the item belongs to the archive's collection and links to it and to the catalogue; elsewhere
    it has neither. It has no self link, which would have to be absolute, so that the folder may be moved.

    Args:
        bundle: paths of the layers and the item.
        schema: the possible layers.
        grid: the layers' grid. A CRS that cannot be transformed gives an item without geometry.
        card: the model's card.
        source: the scene.
        run: time and software of the run.

    Raises:
        WriteError: the disk is full or fails.

    Source:
        STAC 1.1.0; extensions classification 2.0, file 2.1, processing 1.2, projection 2.0, raster 2.0. The MLM 1.4
        fields of the model are in ``geoseg:model``, under MLM's names without its prefix: MLM's own fields belong to an
        item that holds the weights, and its schema refuses any other. ``stac_model`` writes such an item.
    """
    place = footprint(grid)
    geometry, bbox = (None, None) if place is None else place
    item: JsonObject = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(_EXTENSIONS),
        "id": bundle.stem,
        **({"collection": COLLECTION_ID} if bundle.in_archive else {}),
        "geometry": geometry,
        **({} if bbox is None else {"bbox": bbox}),
        "properties": _properties(grid, card, source, run),
        "links": [*(catalogue_links("..") if bundle.in_archive else ()), _derived_from(bundle, source)],
        "assets": _assets(bundle, grid, schema, card.legend),
    }
    write_json(bundle.item, item)


def catalogue_links(archive: str) -> list[dict[str, str]]:
    """Return the links of an item to the catalogue and the collection in its archive's folder.

    Args:
        archive: relative address of the folder.
    """
    files = {"root": CATALOGUE_FILE, "parent": COLLECTION_FILE, "collection": COLLECTION_FILE}
    return [{"rel": rel, "href": f"{archive}/{file}", "type": "application/json"} for rel, file in files.items()]


def href(path: str) -> str:
    """Convert a path to an IRI reference; only characters with a meaning in URLs are escaped.

    Readers of local catalogues open a link's text as a path, so they do not find paths with escaped characters.
    """
    return re.sub(r"[%#?\\\x00-\x1f\x7f\udc80-\udcff]", lambda found: f"%{ord(found[0]) & 0xFF:02X}", path)


def without_secrets(uri: str) -> str:
    """Remove user, password and query (which may hold signatures) from an address; a path is unchanged."""
    if uri.startswith("/vsicurl/"):
        return "/vsicurl/" + without_secrets(uri.removeprefix("/vsicurl/"))
    kind = service_kind(uri)
    if kind is not None:
        return f"{kind}:{without_secrets(uri.removeprefix(f'{kind}:'))}"
    if not re.match(r"[a-z][a-z0-9+.-]+://", uri, re.IGNORECASE):
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:  # what only looks like an address, "http://user@[x", may hold secrets all the same
        scheme, _, rest = uri.partition("?")[0].partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _properties(grid: LayerGrid, card: ModelCard, source: Source, run: Run) -> UntypedDict:
    finished = moment(run.finished)
    properties: dict[str, object] = {
        "title": public_name(source.uri),
        "datetime": finished if source.acquired is None else moment(source.acquired),
        "created": finished,
        "updated": finished,
        "description": f"Land map: {card.title or card.name}, classes {', '.join(card.legend.names)}.",
        "gsd": round(min(gsd_m(grid.geobox)), 6) if not grid.gcps else None,
        "processing:level": "L4",
        "processing:datetime": finished,
        "processing:lineage": f"{_words(card)} by the network {card.name} version {card.version}, tile by tile.",
        "processing:software": dict(run.software),
        **_projection(grid),
        "geoseg:model": mlm_fields(card),
        "geoseg:model_version": card.version,
        "geoseg:model_licence": card.licence,
        **({"geoseg:weights_checksum": SHA256_PREFIX + card.weights_sha256} if card.weights_sha256 else {}),
        **{f"geoseg:{name}": value for name, value in run.facts.items()},
    }
    return {key: value for key, value in properties.items() if value is not None or key == "proj:code"}


def public_name(uri: str) -> str:
    """Return the name of the scene's file as text; of a service, its server."""
    kind = service_kind(uri)
    if kind is not None:
        return urlsplit(uri.removeprefix(f"{kind}:")).hostname or kind
    name = without_secrets(uri).rstrip("/").rpartition("/")[2]
    return name.encode(errors="surrogateescape").decode(errors="replace")


def moment(when: datetime) -> str:
    """Format a time for STAC: UTC, to the second."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _projection(grid: LayerGrid) -> UntypedDict:
    t = grid.geobox.transform
    found: dict[str, object] = {"proj:code": None, "proj:shape": list(grid.shape)}
    if not grid.gcps:
        found |= {"proj:transform": [t.a, t.b, t.c, t.d, t.e, t.f, 0.0, 0.0, 1.0], "proj:bbox": list(grid.bounds())}
    if grid.crs_wkt is None:
        return found
    try:
        crs = CRS.from_wkt(grid.crs_wkt)
    except CRSError:
        return found
    authority = crs.to_authority(min_confidence=100)
    if authority:
        return found | {"proj:code": ":".join(authority)}
    return found | {"proj:wkt2": crs.to_wkt()}


def mlm_fields(card: ModelCard) -> UntypedDict:
    """Describe a model by the fields of MLM, without their prefix."""
    return {
        "name": card.name,
        "architecture": card.architecture.name,
        "framework": "PyTorch",
        "tasks": [_task(card)],
        "input": [_model_input(card)],
        "output": [_model_output(card)],
    }


def _model_input(card: ModelCard) -> JsonDict:
    return {
        "name": f"{card.radiometry} 0-1",
        "bands": list(card.band_names),
        "input": {
            "shape": [-1, len(card.bands), card.tile_px, card.tile_px],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": [{"type": "z-score", "mean": band.mean, "stddev": band.std} for band in card.bands],
    }


def _task(card: ModelCard) -> str:
    """Name a card's task as MLM does."""
    return f"{card.task}-segmentation" if card.task in {"instance", "panoptic"} else "semantic-segmentation"


def _words(card: ModelCard) -> str:
    return _task(card).replace("-", " ").capitalize()


def _model_output(card: ModelCard) -> UntypedDict:
    return {
        "name": "classes",
        "tasks": [_task(card)],
        "result": {
            "shape": [-1, len(card.legend), card.tile_px, card.tile_px],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": classification(card.legend)[:-1],
    }


def _derived_from(bundle: Bundle, source: Source) -> UntypedDict:
    if is_remote(source.uri):
        target = without_secrets(source.uri.removeprefix("/vsicurl/"))
        target = without_kind(target).replace("{", "%7B").replace("}", "%7D")
    else:
        path = os.path.relpath(local_name(source.uri), bundle.directory)
        target = href(path if path.startswith("../") else f"./{path}")
    link: JsonDict = {"rel": "derived_from", "href": target, "title": "The scene"}
    if source.subdataset is not None:
        link["geoseg:subdataset"] = source.subdataset
    if source.service is not None:
        link["geoseg:service"] = dict(source.service)
    return link | ({"file:checksum": SHA256_PREFIX + source.sha256} if source.sha256 else {})


def _assets(bundle: Bundle, grid: LayerGrid, schema: OutputSchema, legend: Legend) -> UntypedDict:
    resolution = {} if grid.gcps else {"raster:spatial_resolution": round(min(gsd_m(grid.geobox)), 6)}
    known = [(layer.name, bundle.file_of(layer), _asset(layer, legend, resolution)) for layer in schema.published]
    documents = {"project": bundle.project, "preview": bundle.preview, "run": bundle.run_record}
    known += [(name, path, asset_facts(*DOCUMENTS[name])) for name, path in documents.items()]
    return {
        key: {"href": "./" + href(path.name), **facts, **_checksum(path)} for key, path, facts in known if path.exists()
    }


def _asset(layer: Layer, legend: Legend, resolution: Mapping[str, float]) -> dict[str, object]:
    kind = kind_of(layer)
    facts = asset_facts(layer.title, kind.media_type, kind.stac_roles)
    if isinstance(layer, RasterLayer):
        facts |= {"nodata": layer.nodata, "data_type": layer.dtype, "raster:sampling": "area", **resolution}
        facts |= {} if layer.unit is None else {"unit": layer.unit}
    return {**facts, **kind.stac_fields(layer, legend)}


def asset_facts(title: str, media_type: str, roles: Sequence[str]) -> dict[str, object]:
    """Describe an asset of an item, or of all items of a collection."""
    return {"title": title, "type": media_type, "roles": list(roles)}


def _checksum(path: Path) -> UntypedDict:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file:size": path.stat().st_size, "file:checksum": SHA256_PREFIX + digest}
