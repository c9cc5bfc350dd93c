"""One virtual environment for each program. All see the torch of one more, so that it lies on the disk once."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_TORCH = ("torch", "torchvision", "segmentation-models-pytorch", "rasterio")
_BASE = "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program beside geoseg.

    Attributes:
        packages: what pip installs.
        own_default: what its own defaults are, for the table.
        polygons: whether it makes polygons.
    """

    packages: tuple[str, ...]
    own_default: str
    polygons: bool = False


PROGRAMS = {
    # newest that this Python takes
    "geoai": Program(packages=("geoai-py",), own_default="512 px, overlap 256", polygons=True),
    "torchgeo": Program(packages=("torchgeo", "requests"), own_default="512 px, no overlap"),
    "omnicloudmask": Program(packages=("omnicloudmask",), own_default="1000 px, overlap 300"),
    "terratorch": Program(packages=("terratorch",), own_default="224 px, overlap 32"),
    # mmsegmentation 1.2 takes mmcv below 2.2 alone; ftfy and regex are imported and not declared
    "mmsegmentation": Program(
        packages=("mmsegmentation==1.2.2", "mmcv-lite==2.1.0", "mmengine==0.10.7", "ftfy", "regex"),
        own_default="512 px, no overlap",
    ),
}


def python_of(folder: Path, name: str) -> Path:
    """Return the interpreter of a program's environment, which is made where it is missing.

    Raises:
        CalledProcessError: pip cannot install it; its last lines are the error's ``output``.
    """
    base = _made(folder / _BASE, [f"{package}=={_version(package)}" for package in _TORCH])
    place = subprocess.run(
        [base, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return _made(folder / name, PROGRAMS[name].packages, sees=place.stdout.strip())


def _version(package: str) -> str:
    """Return the version that geoseg runs with, less the label of a build."""
    return importlib.metadata.version(package).split("+")[0]


def _made(folder: Path, packages: list[str] | tuple[str, ...], sees: str | None = None) -> Path:
    python, finished = folder / "bin" / "python", folder / "finished.json"
    if finished.exists() and json.loads(finished.read_text()) == list(packages):
        return python
    print(f"installing {' '.join(packages)} into {folder}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    if sees is not None:
        own = next(folder.glob("lib/python*/site-packages"))
        (own / "torch_of_another_environment.pth").write_text(sees + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", *packages]
    done = subprocess.run(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, install, output="\n".join(done.stdout.splitlines()[-4:]))
    finished.write_text(json.dumps(list(packages)))
    return python
