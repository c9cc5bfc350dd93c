"""omnicloudmask: its engine of patches, with a network passed in as ``custom_models``.

It normalises each patch by that patch's own mean and deviation. Here that is replaced by division by 255, so that the
network sees what it sees in the other programs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import omnicloudmask
import omnicloudmask.raster_utils
import rasterio
from smp_network import arguments, report, unet, write_classes


def _divided(patch: npt.NDArray[np.float32], nodata: float | None = None) -> npt.NDArray[np.float32]:
    return patch / np.float32(255)


def main() -> None:
    """Predict a scene from an array, as the package does for files too."""
    options = arguments(__doc__)
    omnicloudmask.raster_utils.channel_norm = _divided
    with rasterio.open(options.scene) as source:
        pixels = source.read()
    chosen = {"patch_size": options.tile_px, "patch_overlap": options.overlap_px}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    classes = omnicloudmask.predict_from_array(
        pixels,
        custom_models=unet(options.classes, options.weights),
        pred_classes=options.classes,
        no_data_value=None,
        apply_no_data_mask=False,
        **chosen,
    )
    write_classes(options.scene, classes[0], options.out)
    report("omnicloudmask", "segmentation-models-pytorch", **({"patch_size": 1000, "patch_overlap": 300} | chosen))


if __name__ == "__main__":
    main()
