"""Compare this tree with an older revision: the bytes of the layers of ``geoseg predict``, and the speed of both.

    python benchmarks/revisions.py REVISION [--scene FILE ...] [--model NAME ...] [--rounds 3] [-- OPTION ...]

Both trees predict the same scenes in turn, in one run, so that a machine that slows down slows both. The revision is
checked out into a temporary worktree. Options after ``--`` go to ``geoseg predict``. Prints a line of JSON for each
scene and model; the exit code is 1 if a class raster, a confidence raster or a GeoPackage differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SCENES = (
    "sample_tiles/town.tif",
    "sample_tiles/potsdam/2_Ortho_RGB/top_potsdam_2_10_RGB.tif",
    "sample_tiles/traits/cog.tif",
    "sample_tiles/traits/mercator_3857.tif",
)
MODELS = ("town-unet", "buildings-unet", "landcover-unet")
LAYERS = ("classes.tif", "confidence.tif", "segments.gpkg")


class Prediction(NamedTuple):
    """Layers of one scene: digest by file, seconds of the whole command and of the network alone."""

    digests: dict[str, str]
    command_s: float
    predict_s: float


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """Check a revision out into a worktree, which is removed at the end."""
    tree = folder / "tree"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def predict(tree: Path, scene: Path, model: str, out: Path, options: Sequence[str]) -> Prediction:
    """Run ``geoseg predict`` of a tree in a process of its own."""
    command = [sys.executable, "-m", "geoseg", "predict", str(scene), "--model", model, "--out", str(out)]
    cache = out.parent / f"{out.name}_cache"
    environment = {**os.environ, "PYTHONPATH": str(tree), "GEOSEG_CACHE_DIR": str(cache)}
    shutil.rmtree(out, ignore_errors=True)  # a finished output would be kept and measure nothing
    if not (tree / "geoseg" / "__main__.py").is_file():
        raise FileNotFoundError(f"{tree} holds no geoseg: what is installed would be measured")
    start = perf_counter()
    subprocess.run([*command, "--quiet", *options], check=True, cwd=out.parent, env=environment)
    seconds = perf_counter() - start
    bundle = out / scene.stem
    files = {name: bundle / f"{scene.stem}_{name}" for name in LAYERS}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path.is_file()}
    record = json.loads((bundle / "run.json").read_text())
    return Prediction(digests, seconds, float(record["timings"]["predict_s"]))


def compare(before: Sequence[Prediction], after: Sequence[Prediction]) -> dict[str, object]:
    """Compare predictions of one scene: every round must give the same bytes in both trees."""
    names = sorted({name for one in (*before, *after) for name in one.digests})
    found = {name: {one.digests.get(name) for one in (*before, *after)} for name in names}
    times = {
        f"{key}_{when}": round(median(getattr(one, key) for one in some), 2)
        for key in ("command_s", "predict_s")
        for when, some in (("before", before), ("after", after))
    }
    return {"equal": {name: len(digests) == 1 for name, digests in found.items()}, **times}


def equal(result: dict[str, object]) -> bool:
    """True if every layer is the same bytes in both trees."""
    layers = result["equal"]
    return isinstance(layers, dict) and all(layers.values())


def main() -> int:
    """Print a line for each scene and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("--scene", type=Path, nargs="*", default=[ROOT / scene for scene in SCENES])
    parser.add_argument("--model", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given, options = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    differs = False
    with tempfile.TemporaryDirectory() as name, checked_out(given.revision, Path(name)) as old:
        for scene in given.scene:
            for model in given.model:
                rounds: dict[str, list[Prediction]] = {"before": [], "after": []}
                for number in range(given.rounds):
                    order = [("before", old), ("after", ROOT)]
                    for when, tree in order if number % 2 == 0 else reversed(order):
                        out = Path(name) / f"out_{when}"
                        rounds[when].append(predict(tree, scene.resolve(), model, out, options))
                result = compare(rounds["before"], rounds["after"])
                print(json.dumps({"scene": scene.name, "model": model, **result}), flush=True)
                differs |= not equal(result)
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
