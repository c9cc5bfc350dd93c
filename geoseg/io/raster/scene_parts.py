"""Parts of a scene: resolve an address to opened, checked files on one grid, band by band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError

from rasterio.errors import CRSError

from geoseg.core.types.json_value import JsonDict
from geoseg.errors import SceneError, UsageError
from geoseg.io.containers.safe_product import SafeProduct, find_product
from geoseg.io.containers.subdatasets import (
    Subdataset,
    choose_subdataset,
    container_driver,
    list_subdatasets,
)
from geoseg.io.files.drivers import driver_of, is_remote, local_path, remote_driver
from geoseg.io.files.http import ask
from geoseg.io.raster.bands import named
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.raster_file import RasterFile
from geoseg.io.raster.source import Source
from geoseg.io.raster.stac_source import Asset, AssetBand, item_assets, read_item
from geoseg.io.raster.vrt import clean_vrt
from geoseg.io.services.address import service_kind
from geoseg.io.services.service_source import ServiceSource, refuse_options

_ITEM_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One data band of a scene: its file and its metadata.

    Attributes:
        source: the opened file.
        index: 1-based band in it.
        colour: its colour interpretation, as rasterio names it.
        name: the common name a STAC item gives it, or None.
        description: description from the file.
        nodata: value for "no measurement", or None.
        scale: physical value = stored value * scale + offset.
        offset: see scale.
    """

    source: Source | ServiceSource
    index: int
    colour: str
    name: str | None
    description: str
    nodata: float | None
    scale: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """All files and bands of an opened scene.

    Attributes:
        driver: GDAL's short name, or ``STAC``.
        parts: at least one, all on one grid and of one dtype.
        files: local files besides those of the sources.
        title: the STAC item's id, or None.
        hint: text that may name the satellite: the item's platform, the file's metadata.
        subdataset: name of the subdataset that was read, or None.
        service: what is read of a tile or map service; None for files.
    """

    driver: str
    parts: tuple[Part, ...]
    files: tuple[str, ...] = ()
    title: str | None = None
    hint: str = ""
    subdataset: str | None = None
    service: JsonDict | None = None


def open_parts(uri: str, options: OpenOptions) -> Opened:
    """Open the files of an address.

    Args:
        uri: path or address of a file or a STAC item.
        options: options for opening it.

    Raises:
        SceneError, UsageError: see ``open_scene``.
    """
    if is_remote(uri):
        if not options.allow_remote:
            raise UsageError(f"{uri}: remote scenes are not read by default. Pass --allow-remote.")
        if service_kind(uri) is not None:
            return _open_service(uri, options)
        driver, path = remote_driver(uri), None
    else:
        product = find_product(uri)
        if product is not None:
            return _open_product(uri, product, options)
        path = local_path(uri)
        container = container_driver(uri, path)
        if container is not None:
            return _open_subdataset(uri, path, container, options)
        driver = driver_of(uri, path)
    if options.subdataset is not None:
        if driver != "GTiff" or path is None:
            what = "a remote scene" if path is None else f"a scene of the kind {driver}"
            raise UsageError(f"{uri}: {what} has no subdatasets to choose from. Leave out --subdataset.")
        return _open_subdataset(uri, path, driver, options)
    if driver == "STAC":
        return _open_item(uri, path, options)
    _refuse_assets(uri, options)
    source = _open_source(uri, RasterFile(path=path, driver=driver), options)
    return Opened(driver=driver, parts=_parts(source, ()), hint=source.satellite)


def subdatasets_of(uri: str) -> tuple[Subdataset, ...]:
    """List the rasters of a local file that holds several; empty for any other scene.

    Args:
        uri: path of a file, or of the folder of a Sentinel-2 product.

    Raises:
        SceneError, UsageError: it is missing or damaged; see ``open_scene``.
    """
    if is_remote(uri):
        return ()
    product = find_product(uri)
    if product is not None:
        return product.subdatasets()
    path = local_path(uri)
    driver = container_driver(uri, path)
    if driver is not None:
        return list_subdatasets(uri, path, driver)
    found = list_subdatasets(uri, path, "GTiff") if driver_of(uri, path) == "GTiff" else ()
    return found if len(found) > 1 else ()


def _refuse_assets(uri: str, options: OpenOptions) -> None:
    if options.assets:
        raise UsageError(f"{uri}: not a STAC item, so it has no assets to choose from. Leave out --assets.")


def _open_service(uri: str, options: OpenOptions) -> Opened:
    refuse_options(uri, options)
    source = ServiceSource(uri, options)
    facts = source.facts_of_service
    return Opened(driver=str(facts["kind"]).upper(), parts=_parts(source, ()), title=source.title, service=facts)


def _open_subdataset(uri: str, path: Path, driver: str, options: OpenOptions) -> Opened:
    """Open one raster of a file: the chosen one, or the only one."""
    _refuse_assets(uri, options)
    found = list_subdatasets(uri, path, driver)
    chosen = choose_subdataset(uri, found, options.subdataset)
    variable = "" if driver == "GTiff" else chosen.name.rpartition("/")[2]
    source = Source(uri, RasterFile(path=path, driver=chosen.driver, address=chosen.address, title=variable), options)
    name = None if options.subdataset is None else chosen.name
    title = None if name is None else f"{path.stem}_{name}"
    return Opened(driver=driver, parts=_parts(source, ()), title=title, hint=source.satellite, subdataset=name)


def _open_product(uri: str, product: SafeProduct, options: OpenOptions) -> Opened:
    """Open the images of one resolution of a Sentinel-2 product."""
    _refuse_assets(uri, options)
    found = product.subdatasets()
    chosen = choose_subdataset(uri, found, options.subdataset)
    parts: list[Part] = []
    try:
        for image in product.images[chosen.name]:
            place = uri if image.path is None else str(image.path)
            file = RasterFile(path=image.path, driver="JP2OpenJPEG", address=image.address)
            source = Source(place, file, options)
            names = ("red", "green", "blue") if image.band == "TCI" else (named(image.band, "sentinel-2"),)
            parts += _parts(
                source,
                [AssetBand(name=name, nodata=0.0, scale=image.scale, offset=image.offset) for name in names],
            )
            _refuse_other_grid(uri, parts[0], parts[-1], f"image {image.band}")
    except (SceneError, UsageError):
        for part in parts:
            part.source.close()
        raise
    return Opened(
        driver="SENTINEL2",
        parts=tuple(parts),
        files=(str(product.file),),
        title=f"{product.title}_{chosen.name}",
        hint="sentinel-2",
        subdataset=chosen.name,
    )


def _open_source(uri: str, file: RasterFile, options: OpenOptions) -> Source:
    if file.driver != "VRT" or file.path is None:
        return Source(uri, file, options)
    if not options.allow_vrt:
        raise UsageError(f"{uri}: a VRT can refer to any file, so none is read by default. Pass --allow-vrt.")
    root = file.path.parent if options.vrt_root is None else Path(options.vrt_root)
    documents = clean_vrt(uri, file.path, root.resolve())
    try:
        return Source(uri, replace(file, documents=documents), options)
    except BaseException:
        documents.close()
        raise


def _parts(source: Source | ServiceSource, overrides: Sequence[AssetBand]) -> tuple[Part, ...]:
    parts = []
    whole = len(overrides) == len(source.facts)  # of all bands of the file, or of its data bands
    for position, index in enumerate(source.indexes):
        place = index - 1 if whole else position
        band, own = overrides[place] if place < len(overrides) else AssetBand(), source.facts[index - 1]
        scale, offset = own.scale or 0.0, own.offset or 0.0
        plain = scale == 1.0 and offset == 0.0
        parts.append(
            Part(
                source=source,
                index=index,
                colour=source.colours[index - 1],
                name=band.name,
                description=own.description or "",
                nodata=band.nodata if own.nodata is None else own.nodata,
                scale=band.scale if plain and band.scale is not None else scale,
                offset=band.offset if plain and band.offset is not None else offset,
            )
        )
    return tuple(parts)


def _open_item(uri: str, path: Path | None, options: OpenOptions) -> Opened:
    chosen = item_assets(uri, read_item(uri, _item_text(uri, path)), options)
    files = () if path is None else (str(path),)
    parts: list[Part] = []
    try:
        for asset in chosen.assets:
            parts += _parts(_open_asset(uri, asset, options), asset.bands)
            _refuse_other_grid(uri, parts[0], parts[-1], f"asset {asset.key}")
    except (SceneError, UsageError):
        for part in parts:
            part.source.close()
        raise
    return Opened(driver="STAC", parts=tuple(parts), files=files, title=chosen.id, hint=chosen.satellite)


def _item_text(uri: str, path: Path | None) -> bytes:
    try:
        if path is not None:
            with path.open("rb") as file:
                return file.read(_ITEM_BYTES + 1)
        if not uri.startswith(("http://", "https://")):
            raise SceneError(uri, "a STAC item is read from a file or over http(s).", "Copy it to a local file.")
        with ask(uri, timeout_s=60) as answer:
            return answer.read(_ITEM_BYTES + 1)
    except (OSError, URLError) as error:
        raise SceneError(uri, f"the STAC item cannot be read ({error}).", "Check the address.") from error


def _open_asset(uri: str, asset: Asset, options: OpenOptions) -> Source:
    names = tuple(band.name for band in asset.bands)
    if is_remote(asset.uri):
        return Source(asset.uri, RasterFile(path=None, driver=remote_driver(asset.uri), names=names), options)
    path = local_path(asset.uri)
    driver = driver_of(asset.uri, path)
    if driver == "STAC":
        raise SceneError(uri, f"asset {asset.key} is JSON, not a raster.", "Give an item whose assets are rasters.")
    file = RasterFile(path=path, driver=driver, names=names, multihash=asset.checksum)
    return _open_source(asset.uri, file, options)


def _refuse_other_grid(uri: str, first: Part, other: Part, name: str) -> None:
    """Refuse a stack whose bands have different grids and would have to be resampled."""
    one, two = first.source.grid.geobox, other.source.grid.geobox
    if first.source.dtype != other.source.dtype:
        what = f"type {other.source.dtype}, the first has {first.source.dtype}"
    elif tuple(one.shape) != tuple(two.shape):
        what = f"{two.shape[0]} x {two.shape[1]} px, the first has {one.shape[0]} x {one.shape[1]} px"
    elif not one.transform.almost_equals(two.transform, precision=1e-9 * max(abs(c) for c in one.transform)):
        what = f"transform {tuple(two.transform)[:6]}, the first has {tuple(one.transform)[:6]}"
    elif not _same_crs(first, other):
        what = f"CRS {two.crs}, the first has {one.crs}"
    else:
        return
    raise SceneError(
        uri,
        f"{name} has {what}.",
        "Choose assets of one grid with --assets, or resample it: gdalwarp -tr.",
    )


def _same_crs(first: Part, other: Part) -> bool:
    one, two = first.source.grid.geobox.crs, other.source.grid.geobox.crs
    try:
        return bool(one == two)
    except CRSError:
        return False
