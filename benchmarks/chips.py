"""Chips per second from files: decoded anew for every chip, and with the cache of decoded blocks.

    python benchmarks/chips.py --images 'DIR/images/*.png' --masks 'DIR/masks/*.png' --gsd-m 0.2

One thread cuts, without augmentation and then with the default one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from geoseg.core.legend import Legend, LegendClass
from geoseg.data.augment import Augmentation
from geoseg.data.chips import ChipMaker, ChipSpec
from geoseg.data.labelled import read_source
from geoseg.data.sources.folders import FolderSource
from geoseg.data.sources.georeferenced import GeoreferencedSource

_OFF = dict.fromkeys(("brightness", "contrast", "gamma", "gain", "saturation", "hue_deg", "greyscale"), 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="pattern with one *, or a georeferenced file")
    parser.add_argument("--masks", required=True, help="pattern with one *, or labels of the georeferenced file")
    parser.add_argument("--gsd-m", type=float, default=None)
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--batches", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    classes = tuple(LegendClass(code=code, name=f"class {code}", colour=f"#{code:06x}") for code in range(255))
    still = Augmentation.model_validate(_OFF | {"blur_px": 0, "noise": 0, "jpeg_quality": 0, "blank": 0})
    spec = ChipSpec(size_px=args.size_px, gsd_m=(1e-3, 1e3))
    for cache_mb in (0, 1024):
        placed = "*" not in args.images
        facts = {"name": "s", "licence": "-", "images": args.images, "cache_mb": cache_mb, "gsd_m": args.gsd_m}
        split = {"by": "none", "all": "train"}
        source = (
            GeoreferencedSource.model_validate(
                facts | {"kind": "georeferenced", "labels": args.masks, "split": split, "codes": "nonzero"}
            )
            if placed
            else FolderSource.model_validate(facts | {"kind": "folders", "masks": args.masks, "split": split})
        )
        scenes = read_source(source, "train", Path(), Legend(classes=classes))
        for amounts, words in ((still, "plain"), (Augmentation(), "augmented")):
            maker = ChipMaker(scenes, spec, amounts, ([0.5] * scenes[0].bands, [0.25] * scenes[0].bands), seed=1)
            for number in range(args.batches):  # until the cache is warm
                maker.batch(number)
            times = []
            for number in range(args.batches):
                start = time.perf_counter()
                maker.batch(number)
                times.append(time.perf_counter() - start)
            print(f"cache {cache_mb:4d} MB, {words:9s}: {spec.batch / np.median(times):7.1f} chips/s")


if __name__ == "__main__":
    main()
