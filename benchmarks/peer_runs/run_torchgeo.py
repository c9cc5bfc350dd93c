"""torchgeo: ``RasterDataset``, ``GridGeoSampler`` and ``DataLoader``, and the stitching that users write themselves.

torchgeo has no stitcher. The loop puts each patch to its pixels by the bounds that come with it and averages logits
where patches overlap.
"""

from __future__ import annotations

import numpy as np
import rasterio
import torch
from rasterio.windows import from_bounds
from smp_network import arguments, report, unet, write_classes
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import GridGeoSampler

_BATCH = 4


def main() -> None:
    """Predict a scene patch by patch."""
    options = arguments(__doc__)
    network = unet(options.classes, options.weights)
    tile_px, overlap_px = options.tile_px or 512, options.overlap_px or 0
    dataset = RasterDataset(paths=[options.scene])
    sampler = GridGeoSampler(dataset, size=tile_px, stride=tile_px - overlap_px)
    loader = DataLoader(dataset, batch_size=_BATCH, sampler=sampler, collate_fn=stack_samples)
    with rasterio.open(options.scene) as source:
        shape, transform = source.shape, source.transform
    # patches at the right and upper edges reach beyond the scene
    logits = np.zeros((options.classes, shape[0] + 2 * tile_px, shape[1] + 2 * tile_px), np.float32)
    counts = np.zeros(logits.shape[1:], np.float32)
    with torch.inference_mode():
        for batch in loader:
            answers = network(batch["image"].float() / 255).numpy()
            for answer, (top, left) in zip(answers, _corners(batch["bounds"], transform), strict=True):
                rows = slice(top + tile_px, top + 2 * tile_px)
                cols = slice(left + tile_px, left + 2 * tile_px)
                logits[:, rows, cols] += answer
                counts[rows, cols] += 1
    inner = (slice(tile_px, tile_px + shape[0]), slice(tile_px, tile_px + shape[1]))
    mean = logits[:, *inner] / np.maximum(counts[inner], 1)
    write_classes(options.scene, mean.argmax(0).astype(np.uint8), options.out)
    report("torchgeo", "segmentation-models-pytorch", size=tile_px, stride=tile_px - overlap_px, batch_size=_BATCH)


def _corners(bounds: object, transform: rasterio.Affine) -> list[tuple[int, int]]:
    """Return the row and column of the upper left pixel of each patch."""
    corners = []
    for one in bounds:
        box = [float(value) for value in _box(one)]
        window = from_bounds(*box, transform=transform)
        corners.append((round(window.row_off), round(window.col_off)))
    return corners


def _box(one: object) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top of the bounds of a patch."""
    if isinstance(one, torch.Tensor):  # (axis, (start, stop, step))
        values = one.reshape(-1, 3) if one.numel() == 9 else one.reshape(-1, 2)
        return values[0, 0], values[1, 0], values[0, 1], values[1, 1]
    return one[0].start, one[1].start, one[0].stop, one[1].stop


if __name__ == "__main__":
    main()
