"""The value that describes a network: how it is built, where it was published, what it costs. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Task = Literal["semantic", "instance", "interactive", "panoptic"]
"""Kind of answer: a class of each pixel, objects, the mask of the object that clicks point at, or a panoptic map."""

MACS_UNIT = "multiply-accumulates of one forward pass, in 1e9, for 3 bands, 21 classes and 512 x 512 pixels"


class Cost(NamedTuple):
    """Size and work of a network of 3 bands and 21 classes, as ``geoseg.nn.zoo.measure`` counts them.

    Attributes:
        parameters: without auxiliary heads, which a prediction does not need.
        auxiliary: parameters of those heads.
        macs: multiply-accumulate operations of one forward pass of 512 x 512 pixels, in convolutions and products of
            matrices.
    """

    parameters: int
    auxiliary: int
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts that the networks of one builder share.

    Attributes:
        builder: ``module:function``; the function takes bands, classes and keyword options and returns the module.
        paper: authors and year.
        venue: where it appeared; ``-`` for a library.
        url: of the paper, or of the library where there is none.
        weights: whose weights are published, and under which licence.
        references: implementations that the network was measured or tested against.
        task: kind of answer.
        requires: package that the builder needs besides geoseg's own dependencies.
    """

    builder: str
    paper: str
    venue: str
    url: str
    weights: str
    references: str
    task: Task = "semantic"
    requires: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyForm:
    """Options that make a network so small that the inherited tests can train and export it.

    Attributes:
        options: of the builder, over those of the entry.
        variant: what distinguishes this form from the entry's others; empty for the plain one.
        pools_by_maxima: maxima are taken of equal values that rounding orders otherwise, so that single logits may
            change much in bfloat16.
        idle_weights: parts of the names of weights that published files hold and no answer uses.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    variant: str = ""
    pools_by_maxima: bool = False
    idle_weights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEntry:
    """One network of the registry; ``geoseg.nn.NETWORKS`` finds it by its name.

    Attributes:
        name: by which recipes, cards and commands call it.
        family: builder, paper and licences.
        options: those that the name sets unless they are given.
        output_stride: pixels of the input for one of the finest features that are classified; None where it depends on
            the options.
        cost: None where it was not measured.
        tiny: forms that ``geoseg.testing.networks.NetworkTests`` are run on; at least one entry of a family has some.
    """

    name: str
    family: Family
    options: Mapping[str, object] = field(default_factory=dict)
    output_stride: int | None = None
    cost: Cost | None = None
    tiny: tuple[TinyForm, ...] = ()

    @property
    def task(self) -> Task:
        """Kind of answer."""
        return self.family.task
