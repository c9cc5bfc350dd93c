"""Small runs of commands that write: their inputs, their outputs, and what of these is the same each time."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import rasterio
import yaml
from affine import Affine
from conftest import blobs
from small_training import document, write_squares

OPTIONS: Final = ["--runtime", "torch", "--device", "cpu", "--quiet"]
SMALL: Final = ["--block-px", "64", "--tile-px", "64", "--halo-px", "8"]
HISTORY: Final = ".geoseg/history.jsonl"
"""Totals of an archive after each run that changed them: another text after each failure."""
_TIMED: Final = {".html", ".md", ".csv", ".checkpoint"}
"""Endings of files that hold times."""
_FRAMES: Final = {
    ".html": (b"<", b"</html>"),
    ".parquet": (b"PAR1", b"PAR1"),
    ".gpkg": (b"SQLite format 3\0", b""),
}
"""How a file of a format begins and ends."""
_OF_A_RUN: Final = {"timings", "pixels_per_s", "peak_memory_bytes", "workers", "run", "attempts", "mtime_ns"}
"""Keys of JSON whose values are another in each run."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_YEAR_2001_NS: Final = 10**18
NAMES: Final = ("predict", "vectorise", "archive", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallRun:
    """A run of a command.

    Attributes:
        name: of the command.
        argv: its arguments.
        out: folder that all of its files lie below.
        again: exit code of the same command where its output is whole.
        otherwise: further arguments for another output in the same place; empty if the command replaces nothing.
    """

    name: str
    argv: list[str]
    out: Path
    again: int = 0
    otherwise: list[str] = field(default_factory=list)

    def clear(self, old: Path | None = None) -> None:
        """Remove the output, or put an old one in its place."""
        shutil.rmtree(self.out, ignore_errors=True)
        if old is not None:
            shutil.copytree(old, self.out, symlinks=True)
        elif self.name == "vectorise":
            self.out.mkdir()

    def answer(self) -> dict[str, str]:
        """Digests of all files, without times and durations."""
        return {name: digest(name, content) for name, content in self.files().items()}

    def files(self) -> dict[str, bytes]:
        """Content of all files."""
        found = sorted(path for path in self.out.rglob("*") if path.is_file())
        return {str(path.relative_to(self.out)): path.read_bytes() for path in found}


def digest(name: str, content: bytes) -> str:
    """Digest of a file; of one that holds times, only that it is whole as far as its format tells.

    Raises:
        ValueError: it is not whole.
    """
    suffix = Path(name).suffix
    if name == HISTORY:
        lines = [json.loads(line) for line in content.decode().splitlines()]
        return str({key: value for key, value in lines[-1].items() if key != "when"}) if lines else ""
    if suffix in {".json", ".geojson"}:
        return json.dumps(_without_times(json.loads(content)), sort_keys=True)
    if suffix == ".qgz" and not _is_zip(content):
        raise ValueError(f"{name} is not whole")
    if suffix in _TIMED or Path(name).name.startswith(("scenes.", "_catalogue")):
        if not content:
            return "empty"
        if not _is_whole(suffix, content):
            raise ValueError(f"{name} is not whole")
        return "times"
    return hashlib.sha256(content).hexdigest()


def _without_times(value: Any) -> Any:
    """Leave out of JSON what is another in each run: times, durations, and digests of files that hold times."""
    if isinstance(value, dict):
        if {"predicted", "resumed"} <= value.keys():  # blocks that were there before are not predicted again
            done = value["predicted"] + value["resumed"]
            value = {key: inner for key, inner in value.items() if key not in {"predicted", "resumed"}} | {"done": done}
        return {
            key: None if key.endswith(".stac.json") else _without_times(inner)
            for key, inner in value.items()
            if key not in _OF_A_RUN
        }
    if isinstance(value, list):
        return [_without_times(inner) for inner in value]
    is_time = _TIME.match(value) if isinstance(value, str) else isinstance(value, int) and value > _YEAR_2001_NS
    return "a time" if is_time else value


def _is_whole(suffix: str, content: bytes) -> bool:
    if suffix == ".checkpoint":
        return _is_zip(content)
    start, end = _FRAMES.get(suffix, (b"", b""))
    return content.startswith(start) and content.rstrip(b"\n").endswith(end)


def _is_zip(content: bytes) -> bool:
    try:
        return zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    except zipfile.BadZipFile:
        return False


def raster(path: Path, values: npt.NDArray[np.uint8]) -> Path:
    """Write a GeoTIFF of pixels (band, y, x) with a side of half a metre."""
    bands, height, width = values.shape
    place = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000)}
    facts = {"driver": "GTiff", "dtype": "uint8", "count": bands, "height": height, "width": width}
    colours = {"photometric": "RGB"} if bands == 3 else {}
    with rasterio.open(path, "w", **facts, **place, **colours) as file:
        file.write(values)
    return path


def small_runs(folder: Path, model: Path) -> dict[str, SmallRun]:
    """Make the inputs of all runs below a folder."""
    out = folder / "out"
    scene = raster(folder / "scene.tif", blobs((100, 70)))
    labels = raster(folder / "codes.tif", (blobs((60, 70))[:1] > 128).astype(np.uint8))
    single = folder / "single"
    single.mkdir()
    raster(single / "area.tif", blobs((70, 60)))
    config: dict[str, Any] = {"source": str(single), "model": str(model), "out": str(out), "workers": 0}
    config |= {"device": "cpu", "runtime": "torch", "predict": {"block_px": 64, "tile_px": 64, "halo_px": 8}}
    (folder / "archive.yaml").write_text(yaml.safe_dump(config))
    (folder / "squares").mkdir()
    write_squares(folder / "squares")
    (folder / "recipe.yaml").write_text(json.dumps(document(steps=2, save_every=1)))
    data = ["--data", str(folder / "squares"), "--out", str(out), "--threads", "1", "--quiet"]
    argv = {
        "predict": ["predict", str(scene), "--model", str(model), "--out", str(out), *OPTIONS, *SMALL],
        "vectorise": ["vectorise", str(labels), "--out", str(out / "map.gpkg")],
        "archive": ["archive", "run", str(folder / "archive.yaml"), "--quiet"],
        "train": ["train", str(folder / "recipe.yaml"), *data],
    }
    more = {"predict": ["--blend", "taper", "--overwrite"], "vectorise": ["--connectivity", "8", "--overwrite"]}
    again = {"vectorise": 6}
    return {
        name: SmallRun(name=name, argv=argv[name], out=out, again=again.get(name, 0), otherwise=more.get(name, []))
        for name in NAMES
    }
