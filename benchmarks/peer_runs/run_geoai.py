"""geoai: ``semantic_segmentation`` of a GeoTIFF, and ``raster_to_vector`` where polygons are asked for."""

from __future__ import annotations

import geoai
from geoai.train import semantic_segmentation
from smp_network import ENCODER, arguments, report


def main() -> None:
    """Run geoai as its documentation shows; windows of 512 px are its default."""
    options = arguments(__doc__)
    chosen = {"window_size": options.tile_px, "overlap": options.overlap_px}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    semantic_segmentation(
        str(options.scene),
        str(options.out),
        str(options.weights),
        architecture="unet",
        encoder_name=ENCODER,
        num_channels=3,
        num_classes=options.classes,
        quiet=True,
        **chosen,
    )
    if options.polygons is not None:
        geoai.raster_to_vector(str(options.out), str(options.polygons))
    report("geoai-py", "segmentation-models-pytorch", **({"window_size": 512, "overlap": 256} | chosen))


if __name__ == "__main__":
    main()
