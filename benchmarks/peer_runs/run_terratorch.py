"""terratorch: ``tiled_inference``, which its tasks call when they predict."""

from __future__ import annotations

import numpy as np
import rasterio
import torch
from smp_network import arguments, report, unet, write_classes
from terratorch.tasks.tiled_inference import tiled_inference


def main() -> None:
    """Predict a scene that is read whole, as terratorch's datasets do."""
    options = arguments(__doc__)
    network = unet(options.classes, options.weights)
    with rasterio.open(options.scene) as source:
        pixels = torch.from_numpy(source.read().astype(np.float32) / 255)[None]
    chosen = {}
    if options.tile_px is not None:
        chosen = {"crop": options.tile_px, "stride": options.tile_px - options.overlap_px}
    logits = tiled_inference(network, pixels, **chosen)
    write_classes(options.scene, logits[0].argmax(0).numpy().astype(np.uint8), options.out)
    settings = {"crop": 224, "stride": 192, "delta": 8, "batch_size": 16} | chosen
    report("terratorch", "segmentation-models-pytorch", **settings)


if __name__ == "__main__":
    main()
