"""Weights in the layout of matterport/Mask_RCNN, drawn at random: names and shapes by Keras's layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
NESTED = ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")


def _conv(name: str, size: int, before: int, after: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}/kernel", (size, size, before, after)
    yield f"{name}/bias", (after,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for kind in ("gamma", "beta", "moving_mean", "moving_variance"):
        yield f"{name}/{kind}", (width,)


def keras_shapes(backbone: str, classes: int) -> dict[str, tuple[int, ...]]:
    """Shapes by ``LAYER/WEIGHT``."""
    shapes = [*_conv("conv1", 7, 3, 64), *_norm("bn_conv1", 64)]
    before = 64
    for stage, (count, width) in enumerate(zip(BLOCKS[backbone], (64, 128, 256, 512), strict=True), start=2):
        for letter in "abcdefghijklmnopqrstuvw"[:count]:
            parts = [("2a", 1, before, width), ("2b", 3, width, width), ("2c", 1, width, 4 * width)]
            parts += [("1", 1, before, 4 * width)] if letter == "a" else []
            for part, size, first, last in parts:
                shapes += _conv(f"res{stage}{letter}_branch{part}", size, first, last)
                shapes += _norm(f"bn{stage}{letter}_branch{part}", last)
            before = 4 * width
    for level, width in zip(range(2, 6), (256, 512, 1024, 2048), strict=True):
        shapes += [*_conv(f"fpn_c{level}p{level}", 1, width, 256), *_conv(f"fpn_p{level}", 3, 256, 256)]
    shapes += [*_conv(NESTED[0], 3, 256, 512), *_conv(NESTED[1], 1, 512, 6), *_conv(NESTED[2], 1, 512, 12)]
    for layer, size, first in ((1, 7, 256), (2, 1, 1024)):
        shapes += [*_conv(f"mrcnn_class_conv{layer}", size, first, 1024), *_norm(f"mrcnn_class_bn{layer}", 1024)]
    for layer, width in (("mrcnn_class_logits", classes), ("mrcnn_bbox_fc", 4 * classes)):
        shapes += [(f"{layer}/kernel", (1024, width)), (f"{layer}/bias", (width,))]
    for layer in range(1, 5):
        shapes += [*_conv(f"mrcnn_mask_conv{layer}", 3, 256, 256), *_norm(f"mrcnn_mask_bn{layer}", 256)]
    shapes += [*_conv("mrcnn_mask_deconv", 2, 256, 256), *_conv("mrcnn_mask", 1, 256, classes)]
    return dict(shapes)


def keras_weights(backbone: str = "resnet50", classes: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw weights whose features neither vanish nor grow."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, shape in keras_shapes(backbone, classes).items():
        kind = name.rpartition("/")[2]
        if kind == "kernel":
            values = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[:-1])))
        elif kind in ("gamma", "moving_variance"):
            values = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            values = 0.1 * rng.standard_normal(shape, np.float32)
        drawn[name] = values
    return drawn


def write_keras(path: Path, weights: dict[str, np.ndarray], *, whole: bool = False) -> Path:
    """Write weights as Keras's ``save_weights`` does, or as ``save`` does (``whole``), in nested groups."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        if whole:
            file.create_dataset("optimizer_weights/training/SGD/iterations:0", data=np.int64(7))
        root.attrs["layer_names"] = [b"input_image", b"conv1", b"rpn_model"]
        root.create_group("input_image")
        for name, values in weights.items():
            layer, _, kind = name.partition("/")
            group = "rpn_model" if layer in NESTED else layer
            root.create_dataset(f"{group}/{layer}/{kind}:0", data=values)
    return path
