"""Model: card, network, runtime and device, ready; never half-built."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.digest import sha256_of_json
from geoseg.core.paths import path_text
from geoseg.core.spec import Precision, RuntimeName
from geoseg.engine.bundled import resolve
from geoseg.engine.ensemble import Several, check_legends, checked_weights, ensemble_card
from geoseg.engine.openvino_runtime import OpenvinoRuntime
from geoseg.engine.runtime import Runtime
from geoseg.engine.torch_runtime import TorchRuntime
from geoseg.errors import ModelError, ResourceError, UsageError
from geoseg.io.ensemble_file import read_members
from geoseg.io.model_file import read_model
from geoseg.nn import build


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where a model comes from and how it shall run; what a pickled Model is rebuilt from.

    Attributes:
        name_or_path: a bundled name, a model file, or an ensemble file (``.json``).
        others: further networks, of the same kinds, whose answers are averaged with the first's.
        weights: of each; none: all alike.
    """

    name_or_path: str
    others: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    device: str = "auto"
    runtime: RuntimeName = "auto"
    precision: Precision = "auto"
    threads: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All networks."""
        return (self.name_or_path, *self.others)


class Model:
    """A network ready to run, or several whose answers are averaged.

    Pickles as its source and loads itself again where it is unpickled.

    Args:
        card: what it needs and what its answers mean.
        runtime: executes it.
        source: where it came from.
        members: several networks and their shares, which sum to 1; empty for a network.

    Attributes:
        members: the networks, in the order their answers are taken; a network is its own only member.
        shares: weight of each.
    """

    def __init__(
        self,
        card: ModelCard,
        runtime: Runtime,
        source: ModelSource,
        members: Sequence[tuple[Model, float]] = (),
    ) -> None:
        self.card = card
        self.runtime = runtime
        self.source = source
        self.members: tuple[Model, ...] = tuple(model for model, _ in members) or (self,)
        self.shares = tuple(share for _, share in members) or (1.0,)

    def digest(self) -> str:
        """Digest of everything that can change an answer: weights, card, runtime, arithmetic; of all members."""
        if len(self.members) > 1:
            parts = [[model.digest(), share] for model, share in zip(self.members, self.shares, strict=True)]
            return sha256_of_json({"members": parts})
        runtime = [self.runtime.name, self.runtime.device.split(":")[0], self.runtime.precision, self.runtime.version]
        return sha256_of_json({"card": self.card.model_dump(mode="json"), "runtime": runtime})

    def __reduce__(self) -> tuple[object, tuple[ModelSource]]:
        return load, (self.source,)

    def __repr__(self) -> str:
        runtime = self.runtime
        return f"Model({self.card.name!r}, {runtime.name} {runtime.precision} on {runtime.device})"


def load_model(
    name_or_path: str | Path,
    *,
    device: str = "auto",
    runtime: RuntimeName = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> Model:
    """Load a model by its bundled name, from a geoseg model file, or several by an ensemble file.

    Args:
        name_or_path: ``buildings-unet``, a ``.safetensors`` file with a card inside, or a ``.json`` file that lists
            several (see ``geoseg.io.ensemble_file``).
        device: ``auto`` (a GPU when there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto`` takes OpenVINO on a CPU where it is installed, else torch.
        precision: ``auto`` takes what the device is fast in.
        threads: CPU threads of the network; None: all.

    Raises:
        ModelError: the name is unknown, or the file is broken or does not fit its card.
        ResourceError: the device is not there.
        UsageError: the runtime is not installed or cannot run on the device.

    Example:
        >>> load_model("buildings-unet", device="cpu").card.legend.names
        ('background', 'building')
    """
    name = path_text(name_or_path, function="load_model", meant="a model's name or path")
    return load(ModelSource(name_or_path=name, device=device, runtime=runtime, precision=precision, threads=threads))


def load_network(name_or_path: str | Path) -> tuple[nn.Module, ModelCard]:
    """Load the bare torch network, on the CPU, in evaluation mode, and its card.

    Raises:
        ModelError: the name is unknown, or the file is broken or does not fit its card.
    """
    path, sha256 = resolve(str(name_or_path))
    tensors, card = read_model(path, sha256)
    network = _restore(path, tensors, card)
    _check(path, network, card)
    return network, card


def load(source: ModelSource) -> Model:
    """Load a model from its source; see ``load_model``.

    Raises:
        UsageError: there are not as many weights as networks, or one is not positive.
    """
    if source.threads is not None:
        torch.set_num_threads(source.threads)
    listed = [
        part
        for name, weight in zip(source.names, checked_weights(source.names, source.weights), strict=True)
        for part in read_members(name, weight)
    ]
    alone = [replace(source, name_or_path=name, others=(), weights=()) for name, _ in listed]
    return combined([_load_one(one) for one in alone], [weight for _, weight in listed], source)


def combined(models: Sequence[Model], weights: Sequence[float], source: ModelSource) -> Model:
    """Make one model of networks whose answers are averaged; of a single one, itself.

    The networks are put in the order of their digests: which was named first changes no byte of an answer.

    Raises:
        ModelError: their legends differ.
    """
    if len(models) == 1:
        return models[0]
    check_legends([model.card for model in models])
    keyed = sorted(zip(models, weights, strict=True), key=lambda pair: (pair[0].digest(), pair[1]))
    total = math.fsum(weights)
    members = [(model, weight / total) for model, weight in keyed]
    card = ensemble_card([(model.card, share) for model, share in members])
    return Model(card, Several([model.runtime for model, _ in members]), source, members)


def _load_one(source: ModelSource) -> Model:
    network, card = load_network(source.name_or_path)
    wanted = "cpu" if source.runtime == "openvino" and source.device == "auto" else source.device
    device = _choose_device(wanted)
    runtime: Runtime
    if _choose_runtime(source.runtime, device) == "openvino":
        runtime = OpenvinoRuntime(
            network,
            in_channels=len(card.bands),
            precision=source.precision,
            threads=source.threads,
            temperature=card.temperature,
        )
    else:
        runtime = TorchRuntime(network, device=device, precision=source.precision, temperature=card.temperature)
    return Model(card, runtime, source)


def _restore(path: Path, tensors: dict[str, npt.NDArray[np.generic]], card: ModelCard) -> nn.Module:
    options = card.architecture.options
    try:
        network = build(card.architecture.name, len(card.bands), len(card.legend), **options)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: {card.architecture.name} cannot be built with {options}: {error}.") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: array.shape for name, array in tensors.items()}
    if expected != found:
        missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        shapes = [
            f"{k} {found[k]} for {expected[k]}" for k in expected.keys() & found.keys() if expected[k] != found[k]
        ]
        parts = [("missing", missing), ("unexpected", extra), ("of another shape", sorted(shapes))]
        listed = "; ".join(f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in parts if names)
        raise ModelError(
            f"{path}: the weights do not fit {card.architecture.name} with {len(card.bands)} bands and "
            f"{len(card.legend)} classes, as the card has it: {listed}."
        )
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in tensors.items()})
    return network.eval()


def _check(path: Path, network: nn.Module, card: ModelCard) -> None:
    """Try the network on one small tile, so that a broken one is found now and not after hours."""
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).expand(1, len(card.bands), 64, 64)
    with torch.inference_mode():
        logits = network(tile.contiguous())
    if tuple(logits.shape) != (1, len(card.legend), 64, 64):
        raise ModelError(f"{path}: the network answers {tuple(logits.shape)} to a tile of 64 x 64 pixels.")
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"{path}: the network answers NaN or infinity; its weights are broken. Fetch or train it again."
        )


def _choose_device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UsageError(f"--device {wanted}: unknown. Pass auto, cpu, cuda or cuda:N.") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {wanted}: unknown. Pass auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise ResourceError(f"--device {wanted}: not there ({there} CUDA devices found). Pass --device cpu or auto.")
    return f"cuda:{device.index or 0}" if device.type == "cuda" else "cpu"


def _choose_runtime(wanted: RuntimeName, device: str) -> Literal["torch", "openvino"]:
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == "auto":
        return "openvino" if device == "cpu" and installed else "torch"
    if wanted == "openvino" and not installed:
        raise UsageError("--runtime openvino: not installed. Run pip install 'geoseg[openvino]'.")
    if wanted == "openvino" and device != "cpu":
        raise UsageError(f"--runtime openvino: runs on the CPU, not on {device}. Pass --device cpu or --runtime torch.")
    return wanted
