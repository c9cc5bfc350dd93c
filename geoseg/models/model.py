"""Model: card, network, runtime and device, ready to run."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.core.card import ModelCard
from geoseg.core.choices import Precision, RuntimeName
from geoseg.core.digest import sha256_of_json
from geoseg.core.paths import path_text
from geoseg.errors import UsageError
from geoseg.io.publish.notebook_html import html_legend, html_table
from geoseg.io.weights.ensemble_file import read_members
from geoseg.models.bundled import BUNDLED
from geoseg.models.ensemble import check_legends, checked_weights, ensemble_card
from geoseg.models.packages import open_package
from geoseg.models.panoptic_pair import is_pair, pair_card, pair_legend
from geoseg.runtimes.registry import RuntimeRequest, make_runtime
from geoseg.runtimes.runtime import Runtime, RuntimeInfo

if TYPE_CHECKING:
    from torch import nn

    from geoseg.models.own_network import OwnNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Source of a model and its runtime options; a pickled Model is loaded again from it.

    Attributes:
        name_or_path: a bundled name, a model file, or an ensemble file (``.json``); for a network of the caller's own,
            the name in its card.
        others: further networks, of the same kinds, whose predictions are averaged with the first's.
        weights: weight of each; empty: equal weights.
        network: a network of the caller's own, instead of a file.
    """

    name_or_path: str
    others: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    device: str = "auto"
    runtime: RuntimeName = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    network: OwnNetwork | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All networks."""
        return (self.name_or_path, *self.others)

    @property
    def files(self) -> tuple[str, ...]:
        """Local paths that the networks are read from."""
        return () if self.network is not None else tuple(name for name in self.names if name not in BUNDLED)


class Model:
    """A network ready to run, or several whose predictions are averaged.

    Pickles as its source and is loaded again when unpickled.

    Args:
        card: its card.
        source: its source.
        info: properties of its runtime; of several networks, of the first one's.
        runtime: runs the network; None for several networks, and for a mere description of a model that runs on the
            workers of a cluster.
        members: several networks and their weights, which sum to 1; empty for a single network.
        batch: tiles per batch of a mere description.

    Attributes:
        members: the networks, in the order of averaging; a single network is its own only member.
        shares: weight of each.
        things: of a pair that makes panoptic maps, the code of each label of the detector; None: as its legend says.
    """

    def __init__(
        self,
        card: ModelCard,
        source: ModelSource,
        *,
        info: RuntimeInfo,
        runtime: Runtime | None = None,
        members: Sequence[tuple[Model, float]] = (),
        batch: int = 1,
    ) -> None:
        self.card = card
        self.source = source
        self.info = info
        self._runtime = runtime
        self._batch = batch
        self.members: tuple[Model, ...] = tuple(model for model, _ in members) or (self,)
        self.shares = tuple(share for _, share in members) or (1.0,)
        cards = [member.card for member in self.members]
        self.things = pair_legend(cards[1], cards[0])[1] if is_pair(cards) else None

    @property
    def runtime(self) -> Runtime:
        """The runtime of a single network.

        Raises:
            UsageError: the model has several networks, each with its own reading of a scene, or runs on a cluster.
        """
        if self._runtime is None:
            cause = "has several networks" if len(self.members) > 1 else "runs on the workers of a cluster"
            raise UsageError(f"{self.card.name}: {cause}; it answers for blocks of a scene. Use geoseg.predict.")
        return self._runtime

    @property
    def batch(self) -> int:
        """Smallest batch size of the networks."""
        if len(self.members) > 1:
            return min(member.batch for member in self.members)
        return self._batch if self._runtime is None else self._runtime.batch

    def digest(self) -> str:
        """Digest of everything that can change a result: weights, card, runtime and precision of all members."""
        if len(self.members) > 1:
            members = [[model.digest(), share] for model, share in zip(self.members, self.shares, strict=True)]
            return sha256_of_json({"members": members})
        runtime = [self.info.name, self.info.device.split(":")[0], self.info.precision, self.info.version]
        parts = {"card": self.card.identity(self.info.precision), "runtime": runtime}
        own = self.source.network
        return sha256_of_json(parts if own is None else parts | {"structure": own.structure})

    def __reduce__(self) -> tuple[object, tuple[ModelSource]]:
        return load, (self.source,)

    def _repr_html_(self) -> str:
        """Summary of the card for notebooks."""
        card = self.card
        rows = [
            ("bands", ", ".join(card.band_names)),
            ("pixels", f"{card.gsd_m.min:g} to {card.gsd_m.max:g} m on the ground"),
            ("tiles", f"{card.tile_px} px with a halo of {card.halo_px} px"),
            ("runs by", f"{self.info.name}, {self.info.precision}, on {self.info.device}"),
            ("licence", card.licence),
            *((score.metric, f"{score.value:.3f} on {score.on}") for score in card.scores),
            *(("warning", warning) for warning in card.warnings),
        ]
        return html_table(f"Model {card.name} {card.version}: {card.title}", rows, below=html_legend(card.legend))

    def __repr__(self) -> str:
        return f"Model({self.card.name!r}, {self.info.name} {self.info.precision} on {self.info.device})"


def load_model(
    model: str | Path | nn.Module,
    *,
    card: ModelCard | None = None,
    device: str = "auto",
    runtime: RuntimeName = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> Model:
    """Load a model by its name or path, or make one from a torch module.

    Args:
        model: a bundled name such as ``buildings-unet``; a ``.safetensors`` file with a card inside; an ``.onnx`` file
            with a card; a ``.json`` file that lists several (see ``geoseg.io.weights.ensemble_file``); or a torch
            module, such as one of segmentation-models-pytorch, torchvision or a Lightning task (see
            ``geoseg.models.own_network.OwnNetwork``). A module is copied as it is now.
        card: describes a module; a file has its own.
        device: ``auto`` (a GPU when there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto`` takes OpenVINO on a CPU where it is installed, else torch.
        precision: ``auto`` chooses the fastest of the device.
        threads: CPU threads of the network; None: all.

    Raises:
        ModelError: the name is unknown, or the file or the module is broken or does not fit its card.
        ResourceError: the device does not exist.
        UsageError: the runtime is not installed or cannot run on the device; a module has no card, or a file gets one.

    Examples:
        >>> load_model("buildings-unet", device="cpu").card.legend.names
        ('background', 'building')
    """
    options = ModelSource(name_or_path="", device=device, runtime=runtime, precision=precision, threads=threads)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        if not isinstance(card, ModelCard):
            raise UsageError(
                f"load_model: a {type(model).__name__} needs card=geoseg.ModelCard(...), which names its bands, "
                f"classes and pixel sizes{'' if card is None else f', not {type(card).__name__}'}."
            )
        from geoseg.models.own_network import OwnNetwork  # noqa: PLC0415 - torch; an ONNX file is run without it

        return load(replace(options, name_or_path=card.name, network=OwnNetwork(model, card)))
    name = path_text(model, function="load_model", meant="a torch module, or a model's name or path")
    if card is not None:
        raise UsageError(f"load_model: {name} has a card of its own; card= is for torch modules. Leave it out.")
    return load(replace(options, name_or_path=name))


def load(source: ModelSource) -> Model:
    """Load a model from its source; see ``load_model``.

    Raises:
        UsageError: the numbers of weights and networks differ, or a weight is not positive.
    """
    if source.network is not None:
        return _load_one(source)
    listed = [
        part
        for name, weight in zip(source.names, checked_weights(source.names, source.weights), strict=True)
        for part in read_members(name, weight)
    ]
    alone = [replace(source, name_or_path=name, others=(), weights=()) for name, _ in listed]
    return combined([_load_one(one) for one in alone], [weight for _, weight in listed], source)


def combined(models: Sequence[Model], weights: Sequence[float], source: ModelSource) -> Model:
    """Combine models into one whose predictions are averaged; a single model is returned unchanged.

    The networks are sorted by their digests, so that the order in which they are given does not change the result.

    Args:
        models: the models.
        weights: one per model, or empty for equal weights.
        source: source of the combined model.

    Raises:
        ModelError: their legends differ.
    """
    if len(models) == 1:
        return models[0]
    if is_pair([model.card for model in models]):
        return _pair(models, source)
    check_legends([model.card for model in models])
    keyed = sorted(zip(models, weights, strict=True), key=lambda pair: (pair[0].digest(), pair[1]))
    total = math.fsum(weights)
    members = [(model, weight / total) for model, weight in keyed]
    card = ensemble_card([(model.card, share) for model, share in members])
    return Model(card, source, info=members[0][0].info, members=members)


def _pair(models: Sequence[Model], source: ModelSource) -> Model:
    """Combine a semantic and an instance model; the blocks of a run follow the tiles of the detector."""
    things, stuff = sorted(models, key=lambda model: model.card.task)
    members = [(things, 0.5), (stuff, 0.5)]
    card = pair_card(ensemble_card([(model.card, share) for model, share in members]), stuff.card, things.card)
    return Model(card, source, info=things.info, members=members)


def _load_one(source: ModelSource) -> Model:
    package = open_package(source.name_or_path) if source.network is None else source.network
    request = RuntimeRequest(
        runtime=source.runtime, device=source.device, precision=source.precision, threads=source.threads
    )
    runtime = make_runtime(package, request)
    if source.network is not None:
        source.network.check(runtime)
    return Model(package.card, source, info=runtime.info, runtime=runtime)
