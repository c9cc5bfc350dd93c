"""What a VRT may refer to: plain raster files under one folder, nothing else. Checked before GDAL sees it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from geoseg.errors import SceneError
from geoseg.io.formats import driver_of, is_remote

_MAX_BYTES = 64 * 2**20
_MAX_DEPTH = 4
_DATASETS = frozenset({None, "VRTWarpedDataset"})
_BANDS = frozenset({None, "VRTSourcedRasterBand", "VRTWarpedRasterBand"})
_FILES = frozenset({"SourceFilename", "SourceDataset"})
# Elements that run code, read raw bytes of any file, or send GDAL elsewhere.
_REFUSED = frozenset(
    {
        "PixelFunctionCode",
        "PixelFunctionType",
        "KernelFilteredSource",
        "GDALWarpOperationOptions",
        "Group",
        "ProcessingSteps",
    }
)


def check_vrt(uri: str, path: Path, root: Path, depth: int = 0) -> tuple[str, ...]:
    """Check a VRT and those it refers to.

    Args:
        uri: name for messages.
        path: the VRT.
        root: folder every source must lie in, links resolved.
        depth: how many VRTs lead here.

    Returns:
        The local files it refers to, each once.

    Raises:
        SceneError: a source outside the root, remote, missing or no raster; raw or computed bands; hostile XML.
    """
    if depth > _MAX_DEPTH:
        raise SceneError(uri, f"its VRTs refer to each other more than {_MAX_DEPTH} deep.", "Build one flat VRT.")
    found: dict[str, None] = {}
    for element in _elements(uri, path):
        if element.tag in _FILES:
            source = _source(uri, path, root, element)
            found[str(source)] = None
            if driver_of(str(source), source) == "VRT":
                found.update(dict.fromkeys(check_vrt(uri, source, root, depth + 1)))
    return tuple(found)


def _elements(uri: str, path: Path) -> list[ET.Element]:
    if path.stat().st_size > _MAX_BYTES:
        raise SceneError(uri, f"{path.name} is larger than {_MAX_BYTES // 2**20} MiB.", "Build a smaller VRT.")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise SceneError(uri, f"{path.name} declares XML entities.", "Build it anew with gdalbuildvrt.")
    try:
        elements = list(ET.fromstring(text).iter())  # noqa: S314 - entities are refused above, size is bounded
    except ET.ParseError as error:
        raise SceneError(uri, f"{path.name} is not XML ({error}).", "Build it anew with gdalbuildvrt.") from error
    root = elements[0]
    if root.tag != "VRTDataset" or root.get("subClass") not in _DATASETS:
        raise SceneError(uri, f"VRTs of kind {root.get('subClass') or root.tag} are not read.", "Make a GeoTIFF of it.")
    warped = root.get("subClass") == "VRTWarpedDataset"
    for element in elements:
        computed = element.tag == "VRTRasterBand" and element.get("subClass") not in _BANDS
        if computed or (element.tag in _REFUSED and not (warped and element.tag == "GDALWarpOperationOptions")):
            raise SceneError(
                uri,
                f"{path.name} holds {element.get('subClass') or element.tag}.",
                "Make a GeoTIFF of it: gdal_translate.",
            )
    return elements


def _source(uri: str, vrt: Path, root: Path, element: ET.Element) -> Path:
    name = (element.text or "").strip()
    if is_remote(name) or not name or name.startswith("<") or "\x00" in name:
        raise SceneError(uri, f"its source {name[:80]!r} is not a local file.", "Make a VRT of local files.")
    relative = element.get("relativeToVRT", element.get("relativetoVRT", "0")) == "1"
    given = vrt.parent / name if relative else Path(name)
    resolved = given.resolve()
    if not resolved.is_relative_to(root):
        raise SceneError(
            uri, f"its source {name[:200]} lies outside {root}.", "Pass --vrt-root, or move the VRT above it."
        )
    if not resolved.is_file():
        raise SceneError(uri, f"its source {name[:200]} is not a file.", "Restore it or build the VRT again.")
    return given
