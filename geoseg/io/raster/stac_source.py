"""STAC items: choice of the assets that hold the pixels, and their band names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

from geoseg.core.types.json_value import JsonObject, UntypedMapping
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_remote, local_name, remote_driver
from geoseg.io.files.http import leads_inside
from geoseg.io.raster.bands import named
from geoseg.io.raster.open_options import OpenOptions

_MAX_BYTES = 16 * 2**20
_MEDIA = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/jpeg", "image/png")
_SUFFIXES = (".tif", ".tiff", ".jp2", ".j2k")
_NOT_DATA = frozenset({"thumbnail", "overview", "metadata", "visual", "data-mask", "cloud", "cloud-shadow", "snow-ice"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetBand:
    """Metadata of one band of an asset; None where it is not given."""

    name: str | None = None
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One asset of an item: its address, its bands, and its checksum as a multihash; empty if the item tells none."""

    key: str
    uri: str
    bands: tuple[AssetBand, ...]
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAssets:
    """The assets of an item that make up one scene, in order of their bands, and text that may name its satellite."""

    id: str
    assets: tuple[Asset, ...]
    satellite: str = ""


def read_item(uri: str, text: bytes) -> JsonObject:
    """Parse a STAC item.

    Args:
        uri: name for messages.
        text: the JSON document.

    Raises:
        SceneError: not JSON, too big, or not an item.
    """
    if len(text) > _MAX_BYTES:
        raise SceneError(uri, f"the STAC item is larger than {_MAX_BYTES // 2**20} MiB.", "Give one item.")
    try:
        item = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SceneError(uri, f"it is not JSON ({error}).", "Give a STAC item.") from error
    if not isinstance(item, dict) or item.get("type") != "Feature" or not isinstance(item.get("assets"), dict):
        kind = item.get("type") if isinstance(item, dict) else type(item).__name__
        raise SceneError(uri, f"it is JSON but not a STAC item (type: {kind!r}).", "Give one item with assets.")
    return item


def item_assets(uri: str, item: UntypedMapping, options: OpenOptions) -> ItemAssets:
    """Choose the assets of an item that hold its pixels.

    With ``options.assets`` those, by key or common name; else all data assets. Of several files of the same band (a
    GeoTIFF and a JPEG 2000), the first is used. An asset that holds all bands is used alone.

    Args:
        uri: address of the item, for messages.
        item: the parsed item.
        options: options for opening it.

    Raises:
        SceneError: no such asset, or one that leads outside the item's folder or to an address not allowed.
    """
    name = str(item.get("id") or "item")
    satellite = _satellite(item)
    found = {key: asset for key, asset in item["assets"].items() if isinstance(asset, dict) and _is_raster(asset)}
    if options.assets:
        keys = [_asked(uri, found, requested, satellite) for requested in options.assets]
    else:
        data = [key for key, asset in found.items() if not _NOT_DATA & _roles(asset)]
        keys = _without_repeats(found, data or list(found), satellite)
    if not keys:
        raise SceneError(
            uri, f"STAC item {name} has no raster asset.", f"Its assets: {', '.join(item['assets']) or 'none'}."
        )
    places = [(key, _href(uri, name, key, found[key], options)) for key in keys]
    assets = tuple(
        Asset(
            key=key,
            uri=place,
            bands=_bands(key, found[key], satellite),
            checksum=str(found[key].get("file:checksum") or ""),
        )
        for key, place in places
    )
    return ItemAssets(id=name, assets=assets, satellite=satellite)


def _roles(asset: JsonObject) -> set[str]:
    roles = asset.get("roles")
    return {role for role in roles if isinstance(role, str)} if isinstance(roles, list) else set()


def _satellite(item: JsonObject) -> str:
    """Return text that names the satellite, or an empty string."""
    properties = item.get("properties")
    texts = [item.get("id"), item.get("collection")]
    if isinstance(properties, dict):
        texts += [properties.get("platform"), properties.get("constellation")]
    return " ".join(text[:200] for text in texts if isinstance(text, str))


def _is_raster(asset: JsonObject) -> bool:
    media = str(asset.get("type") or "").lower()
    if media.startswith(_MEDIA):
        return True
    try:
        path = urlsplit(str(asset.get("href"))).path
    except ValueError:  # no address
        return False
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def _asked(uri: str, found: Mapping[str, JsonObject], requested: str, satellite: str) -> str:
    if requested in found:
        return requested
    for key, asset in found.items():
        if [band.name for band in _bands(key, asset, satellite)] == [requested]:
            return key
    raise UsageError(f"{uri}: no raster asset {requested}. Choose from: {', '.join(found) or 'none'}.")


def _without_repeats(found: Mapping[str, JsonObject], keys: list[str], satellite: str) -> list[str]:
    names = {key: tuple(band.name for band in _bands(key, found[key], satellite)) for key in keys}
    many = [key for key in keys if len(names[key]) > 1]
    if many:
        return [max(many, key=lambda key: len(names[key]))]
    seen: dict[object, str] = {}
    for key in keys:
        seen.setdefault(names[key][0] if names[key] and names[key][0] else f"asset {key}", key)
    # Next to named bands, an unnamed asset is a product of them (scene classes, aerosol), on a scale of its own.
    bands = [key for name, key in seen.items() if not str(name).startswith("asset ")]
    return bands or list(seen.values())


def _bands(key: str, asset: Mapping[str, object], satellite: str) -> tuple[AssetBand, ...]:
    optical, raster = (_dicts(asset.get(field)) for field in ("eo:bands", "raster:bands"))
    plain = _dicts(asset.get("bands"))
    bands = [
        AssetBand(
            name=_common_name(eo, band, satellite),
            nodata=_number(rb.get("nodata", band.get("nodata", asset.get("nodata")))),
            scale=_number(rb.get("scale", band.get("raster:scale", asset.get("raster:scale")))),
            offset=_number(rb.get("offset", band.get("raster:offset", asset.get("raster:offset")))),
        )
        for eo, rb, band in _aligned(optical, raster, plain)
    ]
    if len(bands) == 1 and bands[0].name is None:
        one = bands[0]
        return (AssetBand(name=named(key, satellite), nodata=one.nodata, scale=one.scale, offset=one.offset),)
    return tuple(bands) or (AssetBand(name=named(key, satellite), nodata=_number(asset.get("nodata"))),)


def _common_name(eo: JsonObject, band: JsonObject, satellite: str) -> str | None:
    for text in (
        eo.get("common_name"),
        band.get("eo:common_name"),
        band.get("common_name"),
        eo.get("name"),
        band.get("name"),
    ):
        name = named(str(text), satellite) if text else None
        if name:
            return name
    return None


def _dicts(value: object) -> list[JsonObject]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _aligned(*lists: list[JsonObject]) -> Iterator[tuple[JsonObject, ...]]:
    for index in range(max(map(len, lists))):
        yield tuple(entries[index] if index < len(entries) else {} for entries in lists)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)  # STAC writes "nan" and "inf" as text
    except ValueError:
        return None


def _href(uri: str, item: str, key: str, asset: JsonObject, options: OpenOptions) -> str:
    """Resolve the address of an asset; refuse an unsafe one."""
    href = str(asset.get("href") or "")
    refused = SceneError(
        uri,
        f"asset {key} of STAC item {item} leads to {href[:200]!r}.",
        "Assets must lie in the item's folder or be allowed.",
    )
    try:
        place = _place(uri, href, options)
    except (ValueError, OSError, RuntimeError) as error:  # no address, or no path: NUL, links in a circle
        raise refused from error
    if place is None:
        raise refused
    if is_remote(place) and not options.allow_remote:
        cure = "Pass --allow-remote."
        raise SceneError(uri, f"asset {key} of STAC item {item} is remote ({place[:200]}).", cure)
    if is_remote(place):
        remote_driver(place)
    return place


def _place(uri: str, href: str, options: OpenOptions) -> str | None:
    """Return the address or path that a reference of an item leads to; None if it must not be followed."""
    if not href or "\x00" in href:
        return None
    if is_remote(uri) and not is_remote(href) and not href.startswith(("/", "file:")):
        href = urljoin(uri, href)
    if is_remote(href):
        refused = options.allow_remote and (href.startswith("/vsi") or leads_inside(href, uri))
        return None if refused else href
    if is_remote(uri) or href.startswith("file:") or PurePosixPath(href).is_absolute():
        return None
    folder = Path(local_name(uri)).resolve().parent
    path = (folder / href).resolve()
    return str(path) if path.is_relative_to(folder) else None
