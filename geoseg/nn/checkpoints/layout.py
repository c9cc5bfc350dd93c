"""Layouts of published weights: how each is recognised, and how its names are mapped to those of geoseg."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Rename = tuple[str, str]

Prepare = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""Changes the tensors of a source, still under its names."""

Kinds = Callable[[Mapping[str, Tensor]], tuple[int, dict[str, object]]]
"""Derives the number of classes, and options, where more than one tensor shows them; names are the source's."""

Scaling = Literal["imagenet", "caffe", "unit", "centred", "matterport"]
"""Normalisation of pixels of 0 to 255 in the source: mean and deviation of ImageNet; its mean only; division by 255;
its mean, then division by 255; its mean, rounded to tenths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Tensors whose channels are concatenated in another order than ours.

    Attributes:
        pattern: of our names.
        dim: dimension along which the blocks, all of one size, lie.
        order: for each of our blocks, the source's.
    """

    pattern: str
    dim: int
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    r"""One layout of the state dict of one architecture.

    Patterns are regular expressions. ``renames`` are applied one after the other, each wherever it matches;
    ``<5-3>`` in what comes out is replaced by 2, so that ``<2-\1>`` turns an order round.

    Attributes:
        source: the project that writes it.
        networks: names of the registry that it can become, each with the options that the layout implies.
        required: patterns each of which is found among the names.
        forbidden: patterns that are not found.
        renames: pattern and replacement, from the source's names to ours.
        classifier: the source's name of the weight whose first dimension is the number of classes.
        auxiliary: pattern of auxiliary heads; they are left out where the network is built without.
        unused: pattern of tensors that no prediction uses.
        zeros: pattern of our tensors that begin at zero where the source has none: biases before a norm.
        blocks: tensors with channels in another order.
        scaling: of the pixels.
        bgr: whether the source's bands are blue, green, red.
        positions: the source's name of a transformer's positions, which give the size of the tile it was made for.
        single: the source's names of a classifier that may have one channel (a sigmoid); see ``remap``.
        resnet: what the source writes before the names of a ResNet, whose depth and stem they tell.
        sizes: options that are the first side of a tensor of the source.
        cells: channels of the classifier for each class: the pixels of a cell, where all are classified at once.
        undetectable: options that the tensors do not show, where the source has models of several kinds.
        prepare: changes tensors before they are renamed, such as the order of classes.
        kinds: tells the number of classes in place of ``classifier``, and options that go with it.
    """

    source: str
    networks: Mapping[str, Mapping[str, object]]
    required: tuple[str, ...]
    renames: tuple[Rename, ...]
    classifier: str
    forbidden: tuple[str, ...] = ()
    auxiliary: str | None = None
    unused: str | None = None
    zeros: str | None = None
    blocks: tuple[Blocks, ...] = ()
    scaling: Scaling = "imagenet"
    bgr: bool = False
    positions: str | None = None
    single: tuple[str, ...] = field(default=())
    resnet: str | None = None
    sizes: Mapping[str, str] = field(default_factory=dict)
    cells: int = 1
    undetectable: tuple[str, ...] = ()
    prepare: Prepare | None = None
    kinds: Kinds | None = None

    def fits(self, names: Iterable[str]) -> bool:
        """Return True if a state dict with these names has this layout."""
        text = "\n".join(names)
        found = (re.search(mark, text, re.MULTILINE) for mark in self.required)
        return all(found) and not any(re.search(mark, text, re.MULTILINE) for mark in self.forbidden)

    def target_name(self, name: str) -> str:
        """Translate a name of the source."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return re.sub(r"<(\d+)-(\d+)>", lambda match: str(int(match[1]) - int(match[2])), name)
