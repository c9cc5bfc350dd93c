"""The fully connected CRF: how fast, how near to the sum over every pair, how little it depends on blocks, its worth.

    python benchmarks/crf.py [--image SCENE.tif] [--labels INSTANCES.tif] [--model NAME] [--crf deeplabv1 deeplabv2 ...]

Speed is that of the CRF alone, in one thread, over a window of the image with the model's probabilities. Agreement is
taken over the 12 windows of 48 x 48 px where the network is least sure. The share that changes with blocks compares the
window, computed whole, with the same computed in quarters with ever more context. IoU is that of every class against
the labels (0: the first class), before and after.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from geoseg.core.crf_spec import PRESETS, CrfSpec, parse_crf
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.core.window import Window
from geoseg.inference import crf
from geoseg.inference.passes import BlockPixels
from geoseg.inference.predict import predict_block
from geoseg.inference.prepare import HasColour, prepare, scene_window
from geoseg.inference.tasks.registry import task_of
from geoseg.inference.tasks.task import Assembly
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import load_model
from geoseg.run.plan import make_plan

Probs = npt.NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[1]


class Sample:
    """A part of a scene as a CRF sees it: the model's probabilities, the colours, the labels."""

    def __init__(self, image: Path, labels: Path | None, model_name: str, window: Window) -> None:
        model = load_model(model_name)
        with open_scene(image) as scene:
            plan = make_plan(scene, model.card, PredictSpec.model_validate({"crf": "deeplabv2"}))
            self.window = window.intersection(Window.whole(plan.read.scene_shape))
            block = Block(row=0, col=0, window=self.window, cells=plan.tiling.cells(self.window))
            raster = scene.read(scene_window(plan.read, plan.tiling, block), plan.read.bands)
            source = prepare(plan.read, plan.tiling, block, raster)

        def keep(probs: Probs, _: HasColour) -> Probs:
            self.probs = probs
            return probs

        task = task_of(model.card)
        legend, spec = model.card.legend, PredictSpec()
        assembly = Assembly(legend=legend, spec=spec, schema=task.schema(spec, legend, 1), refine=keep)
        pixels = BlockPixels(
            block=block, valid=source.valid, inputs=iter([(plan.passes[0], source)]), colour=source.colour
        )
        predict_block(task, [(model.runtime, 1.0)], assembly, pixels)
        assert source.colour is not None  # noqa: S101
        self.colour, self.valid = source.colour, source.valid
        self.labels = None if labels is None else rasterio.open(labels).read(1)[self.window.slices]

    def refined(self, spec: CrfSpec, part: Window, *, exact: bool = False) -> Probs:
        """Run the CRF over a part of the sample."""
        here = (slice(None), *part.slices)
        origin = self.window.row_start + part.row_start, self.window.col_start + part.col_start
        return crf.refine(
            self.probs[here], self.colour[here], self.valid[part.slices], spec, origin=origin, exact=exact
        )


def speed(sample: Sample, spec: CrfSpec, side: int) -> tuple[float, float]:
    """Megapixels a second, by wall and by processor time."""
    part = Window(0, side, 0, side)
    wall, cpu = time.perf_counter(), time.process_time()
    sample.refined(spec, part)
    return side * side / 1e6 / (time.perf_counter() - wall), side * side / 1e6 / (time.process_time() - cpu)


def agreement(sample: Sample, spec: CrfSpec, side: int = 48, windows: int = 12) -> tuple[float, float, float, float]:
    """Share of equal classes, mean and largest difference of the marginals, share of classes that the CRF changes."""
    same, mean, most, changed = [], [], [], []
    for part in unsure(sample, side, windows):
        fast, exact = sample.refined(spec, part), sample.refined(spec, part, exact=True)
        before = sample.probs[:, *part.slices]
        same.append((fast.argmax(0) == exact.argmax(0)).mean())
        mean.append(np.abs(fast - exact).mean())
        most.append(np.abs(fast - exact).max())
        changed.append((exact.argmax(0) != before.argmax(0)).mean())
    return float(np.mean(same)), float(np.mean(mean)), float(np.max(most)), float(np.mean(changed))


def unsure(sample: Sample, side: int, count: int) -> Iterator[Window]:
    """Windows where the network is least sure."""
    rows, cols = (length // side for length in sample.valid.shape)
    doubt = 1 - sample.probs.max(axis=0)[: rows * side, : cols * side]
    by_window = doubt.reshape(rows, side, cols, side).mean(axis=(1, 3))
    for index in np.argsort(by_window, axis=None)[::-1][:count]:
        row, col = divmod(int(index), cols)
        yield Window(row * side, (row + 1) * side, col * side, (col + 1) * side)


def seams(sample: Sample, spec: CrfSpec, reaches: list[float]) -> dict[float, float]:
    """Share of pixels whose class differs between the whole and its quarters, by context in standard deviations."""
    rows, cols = sample.valid.shape
    whole = sample.refined(spec, Window(0, rows, 0, cols)).argmax(0)
    found = {}
    for reach in reaches:
        differ = 0
        for row, col in product((0, 1), repeat=2):
            core = Window(row * rows // 2, (row + 1) * rows // 2, col * cols // 2, (col + 1) * cols // 2)
            seen = core.expanded(int(reach * spec.xy_px)).intersection(Window(0, rows, 0, cols))
            part = sample.refined(spec, seen).argmax(0)[core.within(seen)]
            differ += int((part != whole[core.slices]).sum())
        found[reach] = differ / whole.size
    return found


def iou(labels: npt.NDArray[np.generic], codes: npt.NDArray[np.generic], classes: int) -> list[float]:
    """Intersection over union of each class."""
    truth = np.minimum(labels, classes - 1)
    return [
        float(((codes == c) & (truth == c)).sum() / max(1, ((codes == c) | (truth == c)).sum())) for c in range(classes)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, default=ROOT / "sample_tiles" / "town.tif")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--model", default="buildings-unet")
    parser.add_argument("--crf", nargs="+", default=list(PRESETS))
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--corner", type=int, nargs=2, default=[0, 0])
    parser.add_argument("--reaches", type=float, nargs="*", default=[1, 2, 3, 4])
    arguments = parser.parse_args()
    top, left = arguments.corner
    window = Window(top, top + arguments.side, left, left + arguments.side)
    sample = Sample(arguments.image, arguments.labels, arguments.model, window)
    side = min(sample.valid.shape)
    for name in arguments.crf:
        spec = parse_crf(name)
        if spec is None:
            continue
        sample.refined(spec, Window(0, 64, 0, 64))  # compiled
        wall, cpu = speed(sample, spec, side)
        same, mean, most, changed = agreement(sample, spec)
        print(
            f"{name}: {wall:.3f} Mpx/s ({cpu:.3f} by processor time), {side} x {side} px, {len(sample.probs)} classes"
        )
        print(
            f"  against every pair: {same:.2%} equal, marginals {mean:.4f} mean, {most:.3f} max; changes {changed:.2%}"
        )
        for reach, share in seams(sample, spec, arguments.reaches).items():
            print(f"  context of {reach:g} standard deviations: {share:.4%} of the pixels differ from the whole")
        if sample.labels is not None:
            after = sample.refined(spec, Window.whole(sample.valid.shape))
            scores = [iou(sample.labels, probs.argmax(0), len(probs)) for probs in (sample.probs, after)]
            print(
                "  IoU of each class before and after:",
                *(", ".join(f"{v:.4f}" for v in row) for row in scores),
                sep="\n    ",
            )


if __name__ == "__main__":
    main()
