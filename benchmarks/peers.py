"""geoseg beside other programs: whole processes over the same scene with the same weights, from image to class raster.

    python benchmarks/peers.py [--environments DIR] [--only NAME ...] [--sides 3072 8192] [--image SCENE.tif]
        [--polygons] [--no-int8] [--json]

Without ``--environments`` geoseg is measured alone. With it each other program gets an environment in that folder,
which is made by pip where it is missing: geoai, torchgeo, omnicloudmask, terratorch, mmsegmentation. Each is run with
tiles of 512 px of which neighbours share 64 (geoseg: a halo of 32 px on each side), and again with its own defaults.
The network is the U-Net on a ResNet-34 of segmentation-models-pytorch in float32; ``peer_runs/prepare.py`` makes its
weights.

geoseg is measured when it uses a network for the first time (``cold``: nothing in its cache, so it is compiled anew)
and afterwards, in float32, bf16, 8-bit integers and in the precision that it chooses; with the largest tiles; and
with all its layers (class raster, confidence, polygons, project, preview) instead of the class raster alone. Where
geoseg's own check refuses the 8-bit form, it is timed all the same, and ``int8_accepted`` is false.

Measurements never overlap. All results go into one JSON file; what it holds is not measured again, so that an
interrupted comparison goes on. ``others`` says how many processors other programs kept busy meanwhile: near 0 on a
quiet machine. Where it is not, compare ratios only. A program that cannot run leaves its error as its result.

Programs are the newest that the running Python takes; geoai from 0.41 and torchgeo from 0.9 on ask for Python 3.12.
mmsegmentation reads images by GDAL's Python bindings, for which pip found no wheel; without them its images are
read by rasterio (see ``peer_runs/run_mmsegmentation.py``), and ``settings`` says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer_runs.environments import PROGRAMS, python_of
from peer_runs.measure import measure
from peer_runs.table import agreement, last_object, table
from predict import TOWN, enlarge

_HERE = Path(__file__).resolve().parent
_RUNS = _HERE / "peer_runs"
_REFERENCE = "geoseg fp32"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_THREAD_LIMIT")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeosegRun:
    """One way to run geoseg.

    Attributes:
        options: of ``geoseg predict``.
        cold: empty the cache first; otherwise it holds what a run before left.
        model: file in the folder of the network.
    """

    options: tuple[str, ...]
    cold: bool = False
    model: str = "model.safetensors"


_CODES = ("--no-vector", "--no-confidence")
GEOSEG = {
    "geoseg fp32 cold": GeosegRun(options=("--precision", "fp32", *_CODES), cold=True),
    _REFERENCE: GeosegRun(options=("--precision", "fp32", *_CODES)),
    "geoseg bf16 cold": GeosegRun(options=("--precision", "bf16", *_CODES), cold=True),
    "geoseg bf16": GeosegRun(options=("--precision", "bf16", *_CODES)),
    "geoseg auto": GeosegRun(options=("--precision", "auto", *_CODES)),
    "geoseg fp32, largest tiles": GeosegRun(options=("--precision", "fp32", "--tile-px", "largest", *_CODES)),
    "geoseg auto, largest tiles": GeosegRun(options=("--precision", "auto", "--tile-px", "largest", *_CODES)),
    "geoseg int8": GeosegRun(options=("--precision", "int8", *_CODES), model="int8.safetensors"),
    "geoseg auto, all layers": GeosegRun(options=("--precision", "auto")),
}


class Comparison:
    """A comparison whose results grow in a file.

    Args:
        options: of the command line.
        folder: scenes, weights and maps; kept between runs.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file: Path = options.results or folder / "results.json"
        setting = {
            "image": options.image.name,
            "classes": options.classes,
            "tile_px": options.tile_px,
            "overlap_px": options.overlap_px,
            "processors": options.threads,
        }
        self.stored: dict[str, Any] = {"setting": setting, "results": []}
        if self.file.exists():
            self.stored = json.loads(self.file.read_text())
            if self.stored["setting"] != setting:
                raise SystemExit(f"{self.file} holds {self.stored['setting']}. Remove it, or pass another --results.")
        plain = {name: value for name, value in os.environ.items() if name not in {*_THREADS, "PYTHONPATH"}}
        self.env = plain | {"OMP_NUM_THREADS": str(options.threads)}
        self.own_env = self.env | {"PYTHONPATH": str(_HERE.parent)}

    def scene(self, side: int) -> Path:
        """Return the scene of a side, which is made where it is missing."""
        path = self.folder / f"{self.options.image.stem}_{side}.tif"
        if not path.exists():
            part = path.with_suffix(".part.tif")
            enlarge(self.options.image, side, part)
            part.rename(path)
        return path

    def prepare(self) -> None:
        """Make the network, or its form in 8-bit integers, where it is missing."""
        done, int8 = self.folder / "prepared.json", not self.options.no_int8
        if done.exists() and not (int8 and json.loads(done.read_text())["int8"].get("skipped") == "--no-int8"):
            return
        chosen = {name: getattr(self.options, name) for name in ("classes", "tile_px", "overlap_px")}
        told = [text for name, value in chosen.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        scene = self.scene(min(self.options.sides))
        command = [sys.executable, str(_RUNS / "prepare.py"), "--scene", str(scene), "--folder", str(self.folder)]
        told += [] if int8 else ["--no-int8"]
        subprocess.run([*command, *told], env=self.own_env, check=True, stdout=sys.stderr)

    def has(self, side: int, name: str) -> bool:
        """Say whether a result is there; failures are tried again."""
        results = self.stored["results"]
        return any(one["side"] == side and one["name"] == name and "mpx_per_s" in one for one in results)

    def add(self, side: int, name: str, found: dict[str, Any]) -> None:
        """Store a result."""
        kept = [one for one in self.stored["results"] if (one["side"], one["name"]) != (side, name)]
        self.stored["results"] = [*kept, {"side": side, "name": name} | found]
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.stored, indent=1))
        part.rename(self.file)
        if not self.options.json:
            said = found.get("failed") or f"{found['wall_s']} s, {found['mpx_per_s']} Mpx/s, {found['peak_mb']} MB"
            print(f"{side} {name}: {said}", flush=True)

    def judged(self, side: int, found: dict[str, Any], log: Path, classes: Path | None) -> dict[str, Any]:
        """Add speed and agreement to a measurement, or the reason why there is none."""
        printed = log.read_text(errors="replace")
        if found["exit_code"]:
            lines = [line for line in printed.splitlines() if line.strip()][-2:]
            return found | {"failed": f"exit code {found['exit_code']}: {' '.join(lines)}"[:400]}
        reference = self.folder / "maps" / f"{_REFERENCE} {side}.tif"
        same = None if classes is None or not reference.exists() else round(agreement(reference, classes), 6)
        told = {key: value for key, value in last_object(printed).items() if key in {"versions", "settings"}}
        return found | told | {"mpx_per_s": round(side * side / 1e6 / found["wall_s"], 3), "agreement": same}

    def geoseg(self, side: int, name: str) -> None:
        """Measure geoseg in one way."""
        run = GEOSEG[name]
        model, out = self.folder / run.model, self.folder / "out"
        if not model.exists():
            reason = json.loads((self.folder / "prepared.json").read_text())["int8"].get("skipped", "no model file")
            self.add(side, name, {"failed": reason})
            return
        key = "_".join(option.strip("-") for option in run.options if option not in _CODES)
        cache = self.folder / "cache" / f"{key}_{side}"
        env = self.own_env | {"GEOSEG_CACHE_DIR": str(cache)}
        command = [sys.executable, "-m", "geoseg", "predict", str(self.scene(side)), "--model", str(model)]
        command += ["--out", str(out), "--runtime", "openvino", "--quiet", *run.options]
        log, filled = self.folder / "log.txt", cache.with_suffix(".filled")
        if run.cold:
            shutil.rmtree(cache, ignore_errors=True)
        elif not filled.exists():
            shutil.rmtree(out, ignore_errors=True)
            measure(command, env, log, self.options.timeout_s)
        shutil.rmtree(out, ignore_errors=True)
        found = measure(command, env, log, self.options.timeout_s)
        classes = next(out.rglob("*classes*.tif"), None)
        if not found["exit_code"]:
            filled.touch()
            maps = self.folder / "maps"
            maps.mkdir(exist_ok=True)
            if name == _REFERENCE and classes is not None:
                shutil.copy(classes, maps / f"{_REFERENCE} {side}.tif")
        found = self.judged(side, found, log, classes)
        if "mpx_per_s" in found:
            record = json.loads(next(out.rglob("run.json")).read_text())
            versions = {package: importlib.metadata.version(package) for package in ("geoseg", "openvino")}
            found |= {"versions": versions, "settings": _settings(record)}
            if run.model.startswith("int8"):
                found["int8_accepted"] = json.loads((self.folder / "prepared.json").read_text())["int8"]["accepted"]
        self.add(side, name, found)
        shutil.rmtree(out, ignore_errors=True)

    def program(self, side: int, name: str, variant: str) -> None:
        """Measure another program in one way."""
        full = f"{name}{variant}"
        try:
            python = python_of(self.options.environments, name)
        except subprocess.CalledProcessError as error:
            self.add(side, full, {"failed": f"not installed: {error.output or error}"[:400]})
            return
        out, log = self.folder / "out", self.folder / "log.txt"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = [str(python), str(_RUNS / f"run_{name}.py"), "--scene", str(self.scene(side))]
        command += ["--weights", str(self.folder / "weights.pt"), "--classes", str(self.options.classes)]
        command += ["--out", str(out / "classes.tif")]
        if not variant.startswith(", default"):
            command += ["--tile-px", str(self.options.tile_px), "--overlap-px", str(self.options.overlap_px)]
        if variant.endswith("polygons"):
            command += ["--polygons", str(out / "polygons.geojson")]
        found = measure(command, self.env, log, self.options.timeout_s)
        self.add(side, full, self.judged(side, found, log, out / "classes.tif"))
        shutil.rmtree(out, ignore_errors=True)

    def run(self) -> None:
        """Measure what is missing, geoseg first."""
        self.prepare()
        only = self.options.only
        for side in self.options.sides:
            for name, run in GEOSEG.items():
                if self.options.no_int8 and run.model.startswith("int8"):
                    continue
                if ("geoseg" in only or name == _REFERENCE) and not self.has(side, name):
                    self.geoseg(side, name)
            for name in [name for name in PROGRAMS if name in only]:
                polygons = [", polygons"] if PROGRAMS[name].polygons and self.options.polygons else []
                for variant in ["", f", default ({PROGRAMS[name].own_default})", *polygons]:
                    if not self.has(side, f"{name}{variant}"):
                        self.program(side, name, variant)


def _settings(record: dict[str, Any]) -> dict[str, Any]:
    """Take from the record of a run what tells runs apart."""
    options = {key: record["options"][key] for key in ("tile_px", "halo_px", "tiles", "computed_share")}
    return {"precision": record["runtime"]["precision"]} | options


def main() -> int:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, help="folder of the other programs' environments")
    parser.add_argument("--only", nargs="+", choices=["geoseg", *PROGRAMS], help="default: all")
    parser.add_argument("--sides", type=int, nargs="+", default=[3072, 8192])
    parser.add_argument("--image", type=Path, default=TOWN)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--tile-px", type=int, default=512)
    parser.add_argument("--overlap-px", type=int, default=64, help="pixels that two neighbours share")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-int8", action="store_true", help="make no form in 8-bit integers, which takes minutes")
    parser.add_argument("--polygons", action="store_true", help="also polygons of other programs that make them")
    parser.add_argument("--timeout-s", type=float, default=1800)
    parser.add_argument("--work", type=Path, help="folder of scenes, weights and caches; default: in --environments")
    parser.add_argument("--results", type=Path, help="JSON file that grows; default: results.json in --work")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only is None:
        options.only = ["geoseg", *(PROGRAMS if options.environments else ())]
    if options.environments is None and set(options.only) & set(PROGRAMS):
        parser.error("other programs need --environments DIR")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or (options.environments / "work" if options.environments else Path(temporary))
        comparison = Comparison(options, work)
        comparison.run()
        stored = comparison.stored
    print(json.dumps(stored) if options.json else table(stored["results"]), flush=True)
    return int(any("mpx_per_s" not in one for one in stored["results"]))


if __name__ == "__main__":
    sys.exit(main())
