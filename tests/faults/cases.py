"""The table of inputs and options that must be survived: one row is one run of the real command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

PREDICT = (
    "predict",
    "{input}",
    "--model",
    "{model}",
    "--out",
    "{out}",
    "--runtime",
    "torch",
    "--device",
    "cpu",
    "--quiet",
)
PLACE = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    Attributes:
        name: what is given, in a few words.
        make: writes the input under a path.
        code: exit code.
        words: what the message says.
        command: arguments; ``{input}``, ``{model}`` and ``{out}`` are filled in.
        suffix: ending of the input's name.
    """

    name: str
    make: Callable[[Path], object]
    code: int
    words: str
    command: tuple[str, ...] = PREDICT
    suffix: str = ".tif"


def tiff(path: Path, *, height: int = 40, width: int = 50, bands: int = 3, **profile: object) -> Path:
    """Write a GeoTIFF."""
    values = np.random.default_rng(0).integers(1, 255, (bands, height, width)).astype(np.uint8)
    facts = {"driver": "GTiff", "dtype": "uint8", "count": bands, "height": height, "width": width}
    with rasterio.open(path, "w", **facts | PLACE | profile) as file:
        file.write(values)
    return path


def cut(path: Path) -> None:
    """Write a GeoTIFF without its second half."""
    content = tiff(path, height=400, width=400, compress="lzw").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def bomb(path: Path) -> None:
    """Write a sparse GeoTIFF of 40 billion pixels."""
    facts = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 200_000, "width": 200_000, "BIGTIFF": "YES"}
    layout = {"SPARSE_OK": True, "tiled": True, "blockxsize": 4096, "blockysize": 4096}
    with rasterio.open(path, "w", **facts, **layout, **PLACE):
        pass


def disguised_vrt(path: Path) -> None:
    """Write a VRT that reads a file of the system, under the name of a TIFF."""
    source = "<SourceFilename>/etc/passwd</SourceFilename>"
    path.write_text(f'<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand>{source}</VRTRasterBand></VRTDataset>')


CASES = (
    Case(name="a scene that is missing", make=lambda path: path, code=3, words="input.tif"),
    Case(name="a folder under the name of a scene", make=lambda path: path.mkdir(), code=2, words="input.tif"),
    Case(name="an empty file", make=lambda path: path.touch(), code=3, words="empty"),
    Case(
        name="a web page saved as a scene",
        make=lambda path: path.write_text("<html><body>404</body></html>"),
        code=3,
        words="HTML",
    ),
    Case(
        name="a header that is cut",
        make=lambda path: path.write_bytes(b"II*\0\x08\0\0\0\x40"),
        code=3,
        words="input.tif",
    ),
    Case(name="a download that stopped half way", make=cut, code=3, words="input.tif"),
    Case(name="a sparse file of 40 billion pixels", make=bomb, code=3, words="--max-mpx"),
    Case(name="a scene without a CRS", make=lambda path: tiff(path, crs=None), code=3, words="--assume-crs"),
    Case(
        name="a transform of no area",
        make=lambda path: tiff(path, transform=Affine(0.5, 0, 5e5, 0, 0, 5e6)),
        code=3,
        words="input.tif",
    ),
    Case(name="fewer bands than the model needs", make=lambda path: tiff(path, bands=1), code=3, words="input.tif"),
    Case(name="a VRT in a TIFF's clothes", make=disguised_vrt, code=3, words="VRT"),
    Case(name="a VRT that is not allowed", make=disguised_vrt, code=2, words="--allow-vrt", suffix=".vrt"),
    Case(
        name="a pickle as a model",
        make=lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n."),
        code=4,
        words="input.pt",
        command=("models", "show", "{input}"),
        suffix=".pt",
    ),
    Case(
        name="a model whose header is longer than any file",
        make=lambda path: path.write_bytes((2**63).to_bytes(8, "little") + b"{}"),
        code=4,
        words="input.safetensors",
        command=("models", "show", "{input}"),
        suffix=".safetensors",
    ),
    Case(
        name="a configuration with an unknown key",
        make=lambda path: path.write_text("source: x\nmodel: y\nout: z\nwokers: 2\n"),
        code=2,
        words="wokers",
        command=("archive", "run", "{input}"),
        suffix=".yaml",
    ),
    Case(
        name="a configuration that would run code",
        make=lambda path: path.write_text("source: !!python/object/apply:os.system ['true']\n"),
        code=2,
        words="input.yaml",
        command=("archive", "run", "{input}"),
        suffix=".yaml",
    ),
)
