"""Card of a torchgeo or Lightning task, from its hyper-parameters and its data module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from torch import nn

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.legend_presets import bit_colour
from geoseg.errors import UsageError

_BANDS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("pan",),
    3: ("red", "green", "blue"),
    4: ("red", "green", "blue", "nir"),
}
_DATASETS: Final = ("train_dataset", "val_dataset", "test_dataset", "predict_dataset", "dataset")
_EIGHT_BITS, _REFLECTANCE = 255, 10_000


def task_card(task: nn.Module, data: object | None = None) -> ModelCard:
    """Make the card of a segmentation task.

    Args:
        task: a Lightning module whose hyper-parameters name ``in_channels`` and ``num_classes``, as torchgeo's do.
        data: torchgeo's data module, which knows the scaling of the pixels, the size of the patches and, by its data
            set, the names of classes and bands; None: pixels are divided by 255.

    Raises:
        UsageError: the task does not say how many bands and classes it has, or nothing says what its bands are.
    """
    options = dict(getattr(task, "hparams", {}))
    count = options.get("in_channels")
    if not isinstance(count, int):
        raise UsageError(f"{type(task).__name__}: its hyper-parameters name no in_channels. Pass a card.")
    binary = options.get("task") == "binary"
    classes = 2 if binary else options.get("num_classes")
    if not isinstance(classes, int) or options.get("task") == "multilabel":
        raise UsageError(f"{type(task).__name__}: it has no classes of which each pixel is one. Pass a card.")
    dataset = next((found for name in _DATASETS if (found := _inner(getattr(data, name, None))) is not None), None)
    bands = _band_names(dataset, count)
    if bands is None:
        raise UsageError(f"{type(task).__name__}: nothing says what its {count} bands are. Pass a card.")
    mean, std, white = _scaling(data, count)
    tile_px = _patch_px(data)
    return ModelCard(
        name="task",
        title=type(task).__name__,
        architecture=Architecture(
            name=str(options.get("model", "task")).lower(), options={"activation": "sigmoid"} if binary else {}
        ),
        bands=tuple(CardBand(name=n, mean=m, std=s) for n, m, s in zip(bands, mean, std, strict=True)),
        radiometry="display" if white == _EIGHT_BITS else "reflectance",
        gsd_m=GsdRange(min=0.01, max=1000.0),
        tile_px=tile_px,
        halo_px=min(64, tile_px // 8),
        legend=_legend(dataset, classes),
        licence="unknown; ask the trainer",
        warnings=() if data is not None else ("Nothing says how its pixels were scaled: divided by 255",),
    )


def _inner(dataset: Any) -> Any:
    """Return the data set inside a subset."""
    while getattr(dataset, "dataset", None) is not None:
        dataset = dataset.dataset
    return dataset


def _band_names(dataset: Any, count: int) -> tuple[str, ...] | None:
    if dataset is not None:
        from geoseg.data.torchgeo_set import common_names  # noqa: PLC0415 - only with a data set

        own = getattr(dataset, "bands", None) or getattr(dataset, "all_bands", None)
        if isinstance(own, Sequence) and len(own) == count and all(isinstance(band, str) for band in own):
            return common_names(own, type(dataset).__name__)
    return _BANDS.get(count)


def _scaling(data: object | None, count: int) -> tuple[Sequence[float], Sequence[float], int]:
    """Return means and deviations on the scale of 0 to 1, and the pixel value that is 1."""
    mean, std = (
        np.broadcast_to(np.asarray(getattr(data, key, usual), np.float64).ravel(), count)
        for key, usual in (("mean", 0.0), ("std", float(_EIGHT_BITS)))
    )
    white = _REFLECTANCE if max(mean.max(), std.max()) > _EIGHT_BITS else _EIGHT_BITS
    return (mean / white).tolist(), (std / white).tolist(), white


def _patch_px(data: object | None) -> int:
    patch = getattr(data, "patch_size", None)
    side = min(patch) if isinstance(patch, Sequence) and patch else patch
    return max(32, int(side)) if isinstance(side, int | float) else 512


def _legend(dataset: Any, count: int) -> Legend:
    names = getattr(dataset, "classes", None)
    listed = isinstance(names, Sequence) and len(names) == count and all(isinstance(name, str) for name in names)
    words = list(names) if listed and names is not None else [f"class {code}" for code in range(count)]
    entries = (LegendClass(code=code, name=name, colour=bit_colour(code + 1)) for code, name in enumerate(words))
    return Legend(classes=tuple(entries))
