"""Samples of torchgeo's data sets as labelled scenes: one sample, or the ground of one georeferenced file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.types.arrays import AnyArray
from geoseg.core.types.json_value import UntypedMapping
from geoseg.core.window import Window
from geoseg.data.block_cache import BlockCache
from geoseg.data.file_scene import ground_sample_distance
from geoseg.data.labelled_scene import UNLABELLED, Sample
from geoseg.data.read_scene import ReadScene, join_samples
from geoseg.data.recoding import Recoding
from geoseg.data.torchgeo_set import OpenSet
from geoseg.errors import SceneError

Range = tuple[float, float]
_BLOCK_PX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a sample becomes pixels and class indices.

    Attributes:
        images: keys of the sample's images, stacked in this order; a series in time becomes bands.
        mask: key of its mask.
        bands: bands of the stack, from 0, in the network's order; None: all.
        value_range: values that mean 0 and 1, for all bands or band by band; None: 8-bit values as they are.
        nodata: value of missing pixels, in all bands; None: none are missing but NaN.
        recoding: conversion of the mask to class indices.
    """

    images: tuple[str, ...]
    mask: str
    bands: tuple[int, ...] | None
    value_range: Range | tuple[Range, ...] | None
    nodata: float | None
    recoding: Recoding

    def decode(self, sample: UntypedMapping, where: str) -> Sample:
        """Convert a sample.

        Args:
            sample: the data set's answer.
            where: for messages.

        Raises:
            SceneError: it has no such image or mask, or its pixels are not 8-bit and no range is given.
            UsageError: a label has no defined meaning.
        """
        stack = np.concatenate([_image(sample, key, where) for key in self.images])
        if self.bands is not None:
            if max(self.bands) >= len(stack):
                raise SceneError(where, f"it has {len(stack)} bands, not {max(self.bands) + 1}.", "Correct bands.")
            stack = stack[list(self.bands)]
        valid = np.isfinite(stack).all(axis=0)
        if self.nodata is not None:
            valid &= ~(stack == self.nodata).all(axis=0)
        labels = self._labels(sample, where)
        if labels.shape != valid.shape:
            raise SceneError(where, f"its mask has {labels.shape} pixels, its image {valid.shape}.", "Check its files.")
        class_indices = self.recoding.class_indices(labels, None, where)
        class_indices[~valid] = UNLABELLED
        return Sample(values=self._scaled(stack, valid, where), valid=valid, class_indices=class_indices)

    def _labels(self, sample: Mapping[str, object], where: str) -> npt.NDArray[np.int64]:
        if self.mask not in sample:
            raise SceneError(where, f"it has no {self.mask}, only {', '.join(sample)}.", "Name the mask in the recipe.")
        mask = np.asarray(sample[self.mask])
        objects = sample.get("label", sample.get("labels"))
        if mask.ndim == 3 and objects is not None and len(mask) == len(np.atleast_1d(np.asarray(objects))):
            painted = np.zeros(mask.shape[1:], np.int64)  # a mask for each object
            for outline, label in zip(mask, np.atleast_1d(np.asarray(objects)), strict=True):
                painted[outline > 0] = int(label)
            return painted
        mask = mask[0] if mask.ndim == 3 and len(mask) == 1 else mask
        if mask.ndim != 2:
            raise SceneError(where, f"its {self.mask} has the shape {mask.shape}.", "A class for each pixel is needed.")
        whole = mask.astype(np.int64)
        if mask.dtype.kind == "f" and not np.array_equal(whole, mask):
            raise SceneError(where, f"its {self.mask} holds fractions.", "A class for each pixel is needed.")
        return whole

    def _scaled(self, stack: AnyArray, valid: npt.NDArray[np.bool_], where: str) -> AnyArray:
        known = np.where(valid, stack, 0)
        if self.value_range is None:
            eight = known.astype(np.uint8)
            if not np.array_equal(eight, known):
                raise SceneError(
                    where,
                    f"its pixels ({known.min():g} to {known.max():g}) are not those of 8 bits, and the values of black "
                    "and white are unknown.",
                    "Give value_range: [LOW, HIGH] in the recipe.",
                )
            return eight
        first = self.value_range[0]
        ranges: tuple[Any, ...] = self.value_range if isinstance(first, tuple) else (self.value_range,) * len(stack)
        if len(ranges) != len(stack):
            raise SceneError(where, f"{len(stack)} bands and {len(ranges)} value ranges.", "Give one per band, or one.")
        low, high = (np.array([pair[i] for pair in ranges], np.float32)[:, None, None] for i in (0, 1))
        return np.asarray(np.where(valid, np.clip((known - low) / (high - low), 0, 1), 0), np.float32)


class SampleScene(ReadScene):
    """One sample of a data set without georeference. Pickles without its pixels.

    Args:
        name: for messages and scores.
        opened: the data set.
        index: of the sample.
        reading: how it becomes pixels and class indices.
        cache: decoded samples, shared among scenes.
        gsd_m: ground sample distance.
    """

    weight = 1.0

    def __init__(
        self, name: str, opened: OpenSet, index: int, *, reading: Reading, cache: BlockCache, gsd_m: float
    ) -> None:
        self.name = name
        self.gsd_m = gsd_m
        self._opened, self._index, self._reading, self._cache = opened, index, reading, cache
        first = self._whole()
        height, width = first.class_indices.shape
        self.shape: tuple[int, int] = height, width
        self.bands = len(first.values)

    @property
    def scored_as(self) -> str:
        """Its name."""
        return self.name

    def read(self, window: Window) -> Sample:
        """Read a window inside the scene.

        Raises:
            SceneError: a file is damaged.
            UsageError: a label has no defined meaning.
        """
        whole, at = self._whole(), window.slices
        return Sample(values=whole.values[:, *at], valid=whole.valid[at], class_indices=whole.class_indices[at])

    def _whole(self) -> Sample:
        return self._cache.sample((self.name, self._index), self._decode)

    def _decode(self) -> Sample:
        return self._reading.decode(self._opened.sample(self._index), self.name)

    def __repr__(self) -> str:
        return f"SampleScene({self.name!r}, {self.shape[0]} x {self.shape[1]} px, {self.bands} bands)"


class GroundScene(ReadScene):
    """The ground of one entry of a georeferenced data set's index, read block by block. Pickles without its pixels.

    Args:
        name: for messages and scores.
        opened: the data set.
        index: of the entry.
        reading: how a sample becomes pixels and class indices.
        cache: decoded blocks, shared among scenes.
        gsd_m: ground sample distance; None: that of the grid.

    Attributes:
        geobox: the data set's grid, anchored at the entry's upper left corner.
    """

    weight = 1.0

    def __init__(
        self, name: str, opened: OpenSet, index: int, *, reading: Reading, cache: BlockCache, gsd_m: float | None
    ) -> None:
        dataset = opened.dataset
        entry = dataset.index.iloc[index]
        west, south, east, north = entry.geometry.bounds
        x_res, y_res = dataset.res
        self.name = name
        self.shape: tuple[int, int] = max(1, round((north - south) / y_res)), max(1, round((east - west) / x_res))
        transform = Affine(x_res, 0, west, 0, -y_res, north)
        self.geobox = GeoBox(self.shape, transform, str(dataset.crs.to_wkt()))
        self.gsd_m = ground_sample_distance(self.geobox) if gsd_m is None else gsd_m
        self._time = slice(dataset.index.index[index].left, dataset.index.index[index].right)
        self._opened, self._reading, self._cache = opened, reading, cache
        self.bands = len(self.read(Window(0, 1, 0, 1)).values)

    @property
    def scored_as(self) -> str:
        """Its name."""
        return self.name

    def read(self, window: Window) -> Sample:
        """Read a window inside the scene.

        Raises:
            SceneError: a file is damaged there.
            UsageError: a label has no defined meaning.
        """
        blocks: list[tuple[Window, Sample]] = []
        whole = Window.whole(self.shape)
        for row in range(window.row_start // _BLOCK_PX * _BLOCK_PX, window.row_stop, _BLOCK_PX):
            for col in range(window.col_start // _BLOCK_PX * _BLOCK_PX, window.col_stop, _BLOCK_PX):
                block = Window(row, row + _BLOCK_PX, col, col + _BLOCK_PX).intersection(whole)
                blocks.append((block, self._cache.sample((self.name, block), partial(self._decode, block))))
        first = blocks[0][1].values
        return join_samples(window, blocks, bands=len(first), dtype=first.dtype)

    def _decode(self, block: Window) -> Sample:
        affine = self.geobox.affine
        west, north = affine * (block.col_start, block.row_start)
        east, south = affine * (block.col_stop, block.row_stop)
        sample = self._opened.sample((slice(west, east), slice(south, north), self._time))
        found = self._reading.decode(sample, self.name)
        if found.class_indices.shape != block.shape:
            raise SceneError(
                self.name,
                f"torchgeo reads {found.class_indices.shape} pixels of {block.shape}.",
                "Give res in arguments.",
            )
        return found

    def __repr__(self) -> str:
        return f"GroundScene({self.name!r}, {self.shape[0]} x {self.shape[1]} px, {self.bands} bands)"


def _image(sample: Mapping[str, object], key: str, where: str) -> AnyArray:
    """Return an image of a sample as (band, y, x)."""
    if key not in sample:
        raise SceneError(where, f"it has no {key}, only {', '.join(sample)}.", "Name its images in the recipe.")
    image = np.asarray(sample[key])
    if image.ndim == 2:
        image = image[None]
    if image.ndim == 4:  # a series in time
        image = image.reshape(-1, *image.shape[2:])
    if image.ndim != 3:
        raise SceneError(where, f"its {key} has the shape {image.shape}.", "An image of bands, y and x is needed.")
    return image
