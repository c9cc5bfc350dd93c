"""Style files beside vector files that cannot hold their own: QML for QGIS, a MapLibre style for PMTiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoseg.core.layer import SEGMENTS
from geoseg.core.legend import Legend
from geoseg.errors import OutputError
from geoseg.io.files.writing import write_bytes
from geoseg.io.publish.maplibre_style import maplibre_style
from geoseg.io.publish.segment_style import segments_qml


def style_path(path: Path) -> Path | None:
    """Name the style file of a vector file, which QGIS loads with it; None for formats that hold their style."""
    suffix = path.suffix.lower()
    if suffix == ".gpkg":
        return None
    return path.with_suffix(".style.json" if suffix == ".pmtiles" else ".qml")


def write_style(path: Path, legend: Legend, layer: str = SEGMENTS, columns: Sequence[str] = ()) -> Path | None:
    """Write the style of a vector file of segments beside it.

    Args:
        path: the vector file.
        legend: names and colours of its classes.
        layer: the layer's name.
        columns: those that it has besides the ones of all segments.

    Returns:
        The style file; None for a format that holds its own style.

    Raises:
        WriteError: the disk is full or fails.
    """
    target = style_path(path)
    if target is not None:
        write_bytes(target, _style(path, legend, layer, columns))
    return target


def check_style(
    path: Path, legend: Legend, layer: str = SEGMENTS, columns: Sequence[str] = (), *, overwrite: bool
) -> None:
    """Refuse to replace a style file that is another layer's, or that somebody has changed.

    Raises:
        OutputError: a file that may not be replaced stands where the style would go.
    """
    target = style_path(path)
    if target is None or not target.exists():
        return
    found = target.read_bytes()
    if found == _style(path, legend, layer, columns):
        return
    if target.suffix == ".qml" and b"<renderer-v2" not in found:
        raise OutputError(f"{target} is the style of another layer. Pass --out with another name.")
    if not overwrite:
        raise OutputError(f"{target} exists already. Pass --overwrite to replace it, or --out to write elsewhere.")


def _style(path: Path, legend: Legend, layer: str, columns: Sequence[str]) -> bytes:
    if path.suffix.lower() == ".pmtiles":
        return maplibre_style(path.name, legend, layer).encode()
    return segments_qml(legend, columns).encode()
