"""Style files next to vector files that cannot contain a style: QML for QGIS, a MapLibre style for PMTiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoseg.core.layer import SEGMENTS
from geoseg.core.legend import Legend
from geoseg.errors import OutputError
from geoseg.io.files.targets import is_there, keep_existing
from geoseg.io.files.writing import write_bytes
from geoseg.io.publish.maplibre_style import maplibre_style
from geoseg.io.publish.segment_style import segments_qml


def style_path(path: Path) -> Path | None:
    """Return the path of a vector file's style file, which QGIS loads with it; None for formats with a style inside."""
    suffix = path.suffix.lower()
    if suffix == ".gpkg":
        return None
    return path.with_suffix(".style.json" if suffix == ".pmtiles" else ".qml")


def write_style(path: Path, legend: Legend, layer: str = SEGMENTS, columns: Sequence[str] = ()) -> Path | None:
    """Write the style file of a vector file of segments.

    Args:
        path: the vector file.
        legend: names and colours of its classes.
        layer: the layer's name.
        columns: its columns besides those of all segments.

    Returns:
        The style file; None for a format with its style inside.

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
    """Refuse to replace a style file of another layer, or one that was edited.

    Raises:
        OutputError: the path of the style is taken by a file that must not be replaced.
    """
    target = style_path(path)
    if target is None or not is_there(target):
        return
    found = target.read_bytes() if target.is_file() else b""
    if found == _style(path, legend, layer, columns):
        return
    if found and target.suffix == ".qml" and b"<renderer-v2" not in found:
        raise OutputError(f"{target} is the style of another layer. Pass --out with another name.")
    keep_existing(target, overwrite=overwrite, cure="Pass --overwrite to replace it, or --out to write elsewhere.")


def _style(path: Path, legend: Legend, layer: str, columns: Sequence[str]) -> bytes:
    if path.suffix.lower() == ".pmtiles":
        return maplibre_style(path.name, legend, layer).encode()
    return segments_qml(legend, columns).encode()
