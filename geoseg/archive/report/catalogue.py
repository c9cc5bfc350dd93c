"""The static STAC catalogue of an archive: its items in place, paged, under one collection; and the models."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.formatting import readable
from geoseg.core.layer import class_layer, confidence_layer, segment_layer
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.io.files.writing import make_durable_folder, write_json
from geoseg.io.publish.layer_kinds import kind_of
from geoseg.io.publish.stac_item import (
    CATALOGUE_FILE,
    COLLECTION_FILE,
    COLLECTION_ID,
    DOCUMENTS,
    STAC_VERSION,
    asset_facts,
    catalogue_links,
    href,
)
from geoseg.io.publish.stac_model import ModelFacts

FOLDER = "_catalogue"
CATALOGUE, COLLECTION = CATALOGUE_FILE, COLLECTION_FILE
ITEMS = "items"
_PAGE_ITEMS = 1000
_GEOJSON, _JSON = "application/geo+json", "application/json"
_USUAL_LAYERS = (class_layer(nodata=255), confidence_layer(), segment_layer())
_ITEM_ASSETS = {
    layer.name: asset_facts(layer.title, kind_of(layer).media_type, kind_of(layer).stac_roles)
    for layer in _USUAL_LAYERS
} | {name: asset_facts(*facts) for name, facts in DOCUMENTS.items()}


class Catalogue:
    """Writer of the catalogue: adds scenes in pages of a thousand items; collection and root are written last.

    Args:
        out: the archive's folder; ``out/_catalogue`` exists.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._links: list[dict[str, str]] = []
        self._pages: list[Path] = []
        self._copies: list[Path] = []
        self._west_east: list[tuple[float, float]] = []
        self._south_north = [90.0, -90.0]
        self._moments: list[str] = []
        self.models: dict[str, ModelFacts] = {}
        self.items = 0

    @property
    def written(self) -> list[Path]:
        """Files below ``out/_catalogue``: pages of links to items, and items that had to be linked."""
        return [*self._pages, *self._copies]

    def add(self, record: SceneRecord, item: UntypedMapping, path: str) -> None:
        """Add a scene.

        Args:
            record: its record.
            item: its STAC item.
            path: path of the item, relative to the archive's folder.
        """
        if len(self._links) == _PAGE_ITEMS:
            self._turn_page()
        if item.get("collection") != COLLECTION_ID:
            path = self._linked(item, path)
        self._links.append({"path": path, "title": _title(record, item)})
        self.items += 1
        if item.get("bbox"):
            west, south, east, north = item["bbox"]
            self._west_east.append((west, east))
            self._south_north = [min(self._south_north[0], south), max(self._south_north[1], north)]
        properties = item["properties"]
        self._moments = sorted({*self._moments, properties["datetime"]})
        self._moments = [self._moments[0], self._moments[-1]]
        self._add_model(properties)

    def write(self, *, title: str, legend: Legend | None, assets: Mapping[str, UntypedDict]) -> None:
        """Write ``collection.json`` and then ``catalog.json``, which makes the catalogue visible.

        Args:
            title: title of the archive.
            legend: its classes.
            assets: files of the whole archive, STAC assets by key.

        Raises:
            WriteError: the disk is full or fails.
        """
        if self._pages:
            self._turn_page()
        collection: UntypedDict = {
            "type": "Collection",
            "stac_version": STAC_VERSION,
            "id": COLLECTION_ID,
            "title": readable(title),
            "description": "Land maps of the archive's scenes, as geoseg made them"
            + (f": {', '.join(legend.names)}." if legend else "."),
            "license": "other",
            "extent": {"spatial": {"bbox": [self._bbox()]}, "temporal": {"interval": [self._interval()]}},
            "links": [
                {"rel": "root", "href": f"./{CATALOGUE}", "type": _JSON},
                {"rel": "parent", "href": f"./{CATALOGUE}", "type": _JSON},
                *self._below(),
            ],
            "assets": dict(assets),
            "item_assets": _ITEM_ASSETS,
        }
        if self.models:
            collection["summaries"] = {"geoseg:models": sorted(self.models)}
        write_json(self._out / COLLECTION, collection)
        write_json(
            self._out / CATALOGUE,
            {
                "type": "Catalog",
                "stac_version": STAC_VERSION,
                "id": "geoseg-archive",
                "title": readable(title),
                "description": f"{self.items} scenes and the models that mapped them.",
                "links": [
                    {"rel": "root", "href": f"./{CATALOGUE}", "type": _JSON},
                    {"rel": "child", "href": f"./{COLLECTION}", "type": _JSON, "title": "Scenes"},
                    *(self._model_link(ident) for ident in sorted(self.models)),
                ],
            },
        )

    def _add_model(self, properties: UntypedMapping) -> None:
        if "geoseg:model" not in properties:
            return
        model = ModelFacts(
            mlm=properties["geoseg:model"],
            version=properties.get("geoseg:model_version", ""),
            licence=properties.get("geoseg:model_licence", ""),
            checksum=properties.get("geoseg:weights_checksum", ""),
            since=properties["created"],
        )
        known = self.models.get(model.ident)
        if known is None or model.since < known.since:
            self.models[model.ident] = model

    def _linked(self, item: UntypedMapping, path: str) -> str:
        """Write a copy of an item with links to catalogue and collection; the item itself, part of an output, stays.

        Returns:
            Path of the copy, relative to the archive's folder.
        """
        name = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16]
        copy = self._out / FOLDER / ITEMS / f"{name}.stac.json"
        make_durable_folder(copy.parent)
        folder = f"../../{href(posixpath.dirname(path))}"
        links = [link | {"href": _moved(link["href"], folder)} for link in item.get("links", ())]
        assets = {key: asset | {"href": _moved(asset["href"], folder)} for key, asset in item["assets"].items()}
        changes = {"collection": COLLECTION_ID, "links": [*catalogue_links("../.."), *links], "assets": assets}
        write_json(copy, {**item, **changes})
        self._copies.append(copy)
        return copy.relative_to(self._out).as_posix()

    def _turn_page(self) -> None:
        """Write the pending items as a page."""
        name = f"items-{len(self._pages) + 1:05d}"
        path = self._out / FOLDER / f"{name}.json"
        page = {
            "type": "Catalog",
            "stac_version": STAC_VERSION,
            "id": name,
            "description": f"{len(self._links)} scenes.",
            "links": [
                {"rel": "root", "href": f"../{CATALOGUE}", "type": _JSON},
                {"rel": "parent", "href": f"../{COLLECTION}", "type": _JSON},
                *self._item_links(".."),
            ],
        }
        write_json(path, page)
        self._pages.append(path)
        self._links = []

    def _below(self) -> list[dict[str, str]]:
        if not self._pages:
            return self._item_links(".")
        return [{"rel": "child", "href": f"./{FOLDER}/{page.name}", "type": _JSON} for page in self._pages]

    def _item_links(self, start: str) -> list[dict[str, str]]:
        return [
            {"rel": "item", "href": f"{start}/{href(link['path'])}", "type": _GEOJSON, "title": link["title"]}
            for link in self._links
        ]

    def _model_link(self, ident: str) -> dict[str, str]:
        href = f"./{FOLDER}/models/{ident}.stac.json"
        return {"rel": "item", "href": href, "type": _GEOJSON, "title": f"Model {ident}"}

    def _interval(self) -> list[str | None]:
        return [self._moments[0], self._moments[-1]] if self._moments else [None, None]

    def _bbox(self) -> list[float]:
        if not self._west_east:
            return [-180.0, -90.0, 180.0, 90.0]
        west, east = around(self._west_east)
        return [west, self._south_north[0], east, self._south_north[1]]


def _title(record: SceneRecord, item: UntypedMapping) -> str:
    """Return the title of a scene: its name in the archive, and its file's name where that differs."""
    name, file = readable(record.name), readable(str(item["properties"].get("title") or ""))
    return name if not file or file.rpartition(".")[0] in name else f"{file} ({name})"


def _moved(address: str, folder: str) -> str:
    """Rewrite a link relative to a folder as one relative to a file that refers to that folder as ``folder``."""
    if "://" in address or address.startswith("/"):
        return address
    return posixpath.normpath(f"{folder}/{address}")


def around(spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the shortest longitude interval that contains all given intervals.

    Args:
        spans: west and east of each, degrees; west > east for one across the antimeridian.

    Returns:
        West and east of the whole; west > east when it crosses the antimeridian.
    """
    found = sorted((west % 360, _width(west, east), west, east) for west, east in spans)
    reach, last = max((start + width - 360, east) for start, width, _, east in found)
    widest, whole = 0.0, (-180.0, 180.0)
    for start, width, west, east in found:
        if start - reach > widest:
            widest, whole = start - reach, (west, last)
        reach, last = max((reach, last), (start + width, east))
    return whole


def _width(west: float, east: float) -> float:
    return 360.0 if east - west == 360 else (east - west) % 360
