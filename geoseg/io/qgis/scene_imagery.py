"""SceneImagery: how the imagery of a scene is found again, by QGIS and by geoseg."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from geoseg.core.types.json_value import JsonDict
from geoseg.io.files.gdal_name import is_utf8
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.mosaic import MosaicGrid, MosaicTile, north_up, relative, write_vrt
from geoseg.io.publish.picture_mosaic import GDAL_TYPES
from geoseg.io.qgis.project import Imagery, imagery_source
from geoseg.io.qgis.service_uri import private_part, service_uri
from geoseg.io.raster.scene import Scene

_SUBDATASET: Final = re.compile(r'(?P<before>(?:NETCDF|HDF5):")(?P<path>[^"]*)(?P<after>".*)', re.DOTALL)
"""GDAL's names of subdatasets in which QGIS takes a relative path."""

NO_IMAGERY: Final = "the QGIS project has no imagery: "
"""Beginning of the note that says why."""

_COLOURS: Final = {1: ("Gray",), 3: ("Red", "Green", "Blue")}

Stretch = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneImagery:
    """The imagery of a scene in a project and in a run record.

    Attributes:
        shown: its layer in the QGIS project; None: it has none.
        facts: its entry in ``run.json``; None: it has none.
        notes: why a layer is missing.
    """

    shown: Imagery | None = None
    facts: JsonDict | None = None
    notes: tuple[str, ...] = ()


def scene_imagery(scene: Scene, bundle: Bundle, *, bands: tuple[int, ...], stretch: Stretch) -> SceneImagery:
    """Find out how the imagery of a scene is opened; images of several files get a VRT in the bundle.

    Args:
        scene: the scene.
        bundle: the files that the paths are relative to.
        bands: 1-based bands shown as red, green and blue.
        stretch: of each band the stored values shown as black and as white.

    Raises:
        WriteError: the disk is full or fails.
    """
    if scene.service is not None:
        return _of_service(scene, bands, stretch)
    images = [scene.uri] if scene.driver != "STAC" else [file for file in scene.files if not file.endswith(".json")]
    if len(images) != 1:
        return SceneImagery(notes=(f"{NO_IMAGERY}the STAC item has several images, or remote ones",))
    if not is_utf8(images[0]):  # Qt opens no other names
        return SceneImagery(notes=(f"{NO_IMAGERY}its path is not UTF-8",))
    facts: JsonDict = {
        "source": imagery_source(images[0], bundle.directory),
        **({} if scene.subdataset is None else {"subdataset": scene.subdataset}),
        "bands": list(bands),
        "stretch": [list(pair) for pair in stretch],
        "dtype": str(scene.dtype),
        "block_px": list(scene.block_shape),
    }
    shown = _shown(scene, bundle, bands, stretch)
    if shown is None:
        cause = f"{NO_IMAGERY}its grid is neither its file's nor north up"
        return SceneImagery(facts=facts, notes=(cause,))
    return SceneImagery(shown=shown, facts=facts)


def _of_service(scene: Scene, bands: tuple[int, ...], stretch: Stretch) -> SceneImagery:
    assert scene.service is not None  # noqa: S101 - the caller asks for services only
    private = private_part(scene.uri)
    if private is not None:
        cause = f"the address of the service holds {private}, which is written nowhere"
        return SceneImagery(notes=(f"{NO_IMAGERY}{cause}",))
    facts: JsonDict = {
        "source": scene.uri,
        "bands": list(bands),
        "stretch": [list(pair) for pair in stretch],
        "dtype": str(scene.dtype),
        "block_px": list(scene.block_shape),
    }
    if scene.dtype != "uint8" or len(scene.bands) not in _COLOURS:
        cause = f"{NO_IMAGERY}the tiles of the service are no pictures"
        return SceneImagery(facts=facts, notes=(cause,))
    source = service_uri(scene.uri, scene.service, scene.geobox)
    return SceneImagery(shown=Imagery(uri=scene.uri, source=source, service=True), facts=facts)


def _shown(scene: Scene, bundle: Bundle, bands: tuple[int, ...], stretch: Stretch) -> Imagery | None:
    """Describe the layer of a file, of one of its subdatasets, or of a VRT of several files."""
    known = {band.index: source for band, source in zip(scene.bands, scene.datasets, strict=True)}
    files = [known[band] for band in bands]
    dataset = files[0][0]
    special = scene.driver == "SENTINEL2" or dataset.name.startswith(("NETCDF:", "HDF5:", "GTIFF_DIR:"))
    if not special:
        alpha = scene.alphas[0] if len(scene.alphas) == 1 else None
        uri = scene.uri if scene.driver != "STAC" else next(n for n in scene.files if not n.endswith(".json"))
        return Imagery(uri=uri, bands=bands, stretch=_seen(files, stretch), alpha=alpha)
    own = dataset.crs is not None and dataset.transform.almost_equals(scene.geobox.affine, precision=1e-9)
    if scene.driver != "SENTINEL2" and own:
        source = _near(dataset.name, bundle.directory)
        indexes = tuple(index for _, index, _ in files)
        return Imagery(uri=scene.uri, source=source, bands=indexes, stretch=_seen(files, stretch))
    if scene.geobox.crs is None:
        return None
    vrt = bundle.imagery
    tile = north_up(vrt, (int(scene.geobox.shape[0]), int(scene.geobox.shape[1])), scene.geobox.affine)
    if tile is None:
        return None
    _write_vrt(vrt, tile, files, crs_wkt=scene.geobox.crs.to_wkt())
    return Imagery(uri=str(vrt), bands=tuple(range(1, len(bands) + 1)), stretch=stretch)


def _seen(files: Sequence[Any], stretch: Stretch) -> Stretch:
    """Return the stretch in the values that GDAL's scale and offset make of the stored ones, which QGIS shows."""
    pairs = []
    for (dataset, index, _), ends in zip(files, stretch, strict=True):
        scale, offset = dataset.scales[index - 1], dataset.offsets[index - 1]
        low, high = (end * scale + offset for end in ends)
        pairs.append((low, high))
    return tuple(pairs)


def _near(name: str, directory: Path) -> str:
    """Write GDAL's name of a subdataset with a path relative to a folder, where QGIS takes one."""
    found = _SUBDATASET.fullmatch(name)
    if found is None:
        return name
    return f"{found['before']}{os.path.relpath(found['path'], directory)}{found['after']}"


def _write_vrt(vrt: Path, tile: MosaicTile, files: Sequence[Any], *, crs_wkt: str) -> None:
    """Write a VRT of the shown bands on the scene's grid; values are as stored."""
    rows, cols = tile.shape
    bands = []
    for number, (dataset, index, nodata) in enumerate(files):
        kind, (high, wide) = GDAL_TYPES[dataset.dtypes[index - 1]], dataset.block_shapes[index - 1]
        # QGIS takes a pixel away where one band has it: 0 is a colour too
        known = nodata is not None and not math.isinf(nodata) and kind != "Byte"
        empty = f"    <NoDataValue>{nodata!r}</NoDataValue>\n" if known else ""
        bands.append(
            f'  <VRTRasterBand dataType="{kind}" band="{number + 1}">\n{empty}'
            f"    <ColorInterp>{_COLOURS[len(files)][number]}</ColorInterp>\n"
            f"    <SimpleSource>{_file(dataset.name, vrt)}<SourceBand>{index}</SourceBand>"
            f'<SourceProperties RasterXSize="{cols}" RasterYSize="{rows}" DataType="{kind}"'
            f' BlockXSize="{wide}" BlockYSize="{high}"/></SimpleSource>\n  </VRTRasterBand>\n'
        )
    write_vrt(vrt, MosaicGrid.over([tile]), crs_wkt, bands)


def _file(name: str, vrt: Path) -> str:
    if name.startswith(("/vsi", "GTIFF_DIR:")):
        return f'<SourceFilename relativeToVRT="0">{escape(name)}</SourceFilename>'
    named = escape(_near(name, vrt.parent)) if _SUBDATASET.fullmatch(name) else relative(Path(name), vrt)
    return f'<SourceFilename relativeToVRT="1">{named}</SourceFilename>'
