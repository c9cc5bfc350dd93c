"""Networks of the caller's own: any torch module with a card that describes its inputs and outputs."""

from __future__ import annotations

import copy
import hashlib
import inspect
import pickle
from collections.abc import Callable, Mapping
from typing import Final

import cloudpickle
import numpy as np
import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.io.weights.model_file import weights_sha256
from geoseg.models.heads import head_of
from geoseg.models.onnx_answers import ACTIVATION_OPTION, Activation, activation
from geoseg.models.torch_package import TorchPackage
from geoseg.nn.padding import Padded
from geoseg.runtimes.runtime import PROBABILITIES, Runtime

FOREIGN_ERRORS: Final = (
    RuntimeError,
    ValueError,
    TypeError,
    AssertionError,
    LookupError,
    AttributeError,
    ArithmeticError,
)
"""Errors that a foreign network may raise on a tile of an unsupported size."""

DETECTS: Final = frozenset({"instance", "panoptic"})
"""Tasks of the networks that detect objects."""

_SIDE_PX: Final = 64
_STRIDES: Final = (1, 2, 4, 8, 16, 32)
_ANSWER_KEYS: Final = ("out", "logits")
_AGREEMENT: Final = {"fp32": 1e-2, "bf16": 0.1, "fp16": 0.1}
_CURE_FORWARD: Final = "Wrap it in a module whose forward returns one tensor (tile, class, y, x)."


class OwnNetwork(TorchPackage):
    """A copy of a torch module used in place of a model file; see ``geoseg.runtimes.runtime.ModelPackage``.

    The module is copied, so training it further changes nothing here. Equal when card, weights and structure are equal.
    Pickles with the module inside: a class defined in a notebook is included, one of an installed package must be
    installed where it is unpickled.

    Args:
        module: returns logits (tile, class, y, x) at the size of the tile, or a mapping with them as ``out`` or
            ``logits``; of a Lightning task its ``model`` is used. Other kinds of output are named by the option
            ``activation`` of the card's architecture (``geoseg.models.onnx_answers.Activation``). With a card of task
            ``instance`` it returns detections, by torchvision's convention.
        card: describes it.

    Attributes:
        card: the card, with the digest of the weights filled in.
        structure: digest of the module's classes and layers.

    Raises:
        ModelError: the module cannot be copied, or does not fit the card's bands or classes.
    """

    def __init__(self, module: nn.Module, card: ModelCard) -> None:
        module = _copied(unwrapped(module), card)
        self._network: nn.Module = module
        doubts: list[str] = []
        if card.task in DETECTS:
            _check_detector(module, card)
        else:
            self._network = logits = LogitsNetwork(_any_size(module, card), activation(card.name, card))
            doubts = _doubts(logits, card)
        weights = {name: tensor.cpu().numpy() for name, tensor in module.state_dict().items()}
        self.card = card.model_copy(
            update={
                "weights_sha256": weights_sha256(weights),
                "warnings": (*card.warnings, *doubts),
            }
        )
        self.structure = _structure(module)

    def network(self) -> nn.Module:
        """Copy the network, in evaluation mode, on the CPU; it returns logits (tile, class, y, x), or detections."""
        return copy.deepcopy(self._network)

    def check(self, runtime: Runtime) -> None:
        """Check on one small tile that another runtime gives the same output as torch.

        Raises:
            ModelError: the runtime cannot run the network, or its output differs.
        """
        if runtime.info.name == "torch" or not isinstance(self._network, LogitsNetwork):
            return
        tile = _tile(self.card, _side(self._network))
        with torch.inference_mode():
            expected = torch.softmax(self._network(tile) / self.card.temperature, dim=1).numpy()
        cure = "Pass runtime='torch' to load_model."
        try:
            found = runtime.run(tile.numpy())[PROBABILITIES]
        except FOREIGN_ERRORS as error:
            raise ModelError(
                f"{self.card.name}: {runtime.info.name} cannot run this network ({_line(error)}). {cure}"
            ) from error
        off = float(np.abs(found - expected).max())
        if not off <= _AGREEMENT[runtime.info.precision]:
            raise ModelError(
                f"{self.card.name}: {runtime.info.name} answers otherwise than torch, by up to {off:.2g} of "
                f"probability. {cure}"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnNetwork) and (self.card, self.structure) == (other.card, other.structure)

    def __hash__(self) -> int:
        return hash((self.card.weights_sha256, self.structure))

    def to_bytes(self) -> bytes:
        """Serialise it for another process.

        Raises:
            ModelError: the module cannot be pickled.
        """
        try:
            content: bytes = cloudpickle.dumps(self.__dict__)
        except (pickle.PicklingError, *FOREIGN_ERRORS) as error:  # it may hold a file, a lock, a library's handle
            raise ModelError(
                f"{self.card.name}: the network cannot be pickled, so it cannot travel to another process "
                f"({_line(error)}). Write a model file with geoseg.save_model and load that, or predict in one process."
            ) from error
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> OwnNetwork:
        """Deserialise the bytes of ``to_bytes``; unsafe for bytes from an untrusted process.

        Raises:
            ModelError: the package that defines the module's class is not installed.
        """
        own = cls.__new__(cls)
        try:
            own.__dict__.update(cloudpickle.loads(content))
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"a network cannot be unpickled here ({_line(error)}). Install what defines its class."
            ) from error
        return own

    def __reduce__(self) -> tuple[Callable[[bytes], OwnNetwork], tuple[bytes]]:
        return OwnNetwork.from_bytes, (self.to_bytes(),)


class LogitsNetwork(nn.Module):
    """Wrapper that converts the output of a network to logits (tile, class, y, x).

    Args:
        network: the network.
        kind: kind of its output.
    """

    def __init__(self, network: nn.Module, kind: Activation) -> None:
        super().__init__()
        self.network = network
        self.kind = kind

    def forward(self, tiles: Tensor) -> Tensor:
        """Run tiles (tile, band, y, x) to logits (tile, class, y, x)."""
        answer: Tensor = self.network(tiles).float()
        least = torch.finfo(torch.float32).tiny
        if self.kind == "probabilities":
            return answer.clamp_min(least).log()
        if self.kind == "positive":
            answer = torch.cat([1 - answer, answer], dim=1)
            return answer.clamp_min(least).log()
        if self.kind == "sigmoid":
            return torch.cat([torch.zeros_like(answer), answer], dim=1)
        return answer


class _OneTensor(nn.Module):
    """Wrapper that extracts the tensor of scores from a network's output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> Tensor:
        answer = self.network(tiles)
        if isinstance(answer, Mapping):
            found = [answer[key] for key in _ANSWER_KEYS if key in answer]
            if not found:
                raise TypeError(f"it answers {{{', '.join(map(str, answer))}}}, without {' or '.join(_ANSWER_KEYS)}")
            answer = found[0]
        if not isinstance(answer, Tensor):
            raise TypeError(f"it answers a {type(answer).__name__}, not a tensor")
        return answer


def unwrapped(module: nn.Module) -> nn.Module:
    """Unwrap a network from a Lightning task, data parallelism or ``torch.compile``."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return unwrapped(module.module)
    compiled = getattr(module, "_orig_mod", None)
    if isinstance(compiled, nn.Module):
        return unwrapped(compiled)
    inner = getattr(module, "model", None)
    if isinstance(inner, nn.Module) and any(kind.__name__ == "LightningModule" for kind in type(module).__mro__):
        return unwrapped(inner)
    return module


def _copied(module: nn.Module, card: ModelCard) -> nn.Module:
    try:
        return copy.deepcopy(module).eval().float().cpu()
    except FOREIGN_ERRORS as error:
        raise ModelError(
            f"{card.name}: the network cannot be copied ({_line(error)}). Make it anew and load its state_dict."
        ) from error


def _any_size(module: nn.Module, card: ModelCard) -> nn.Module:
    """Find the tile sizes a network accepts, and make it accept all by mirroring at the last row and column.

    Raises:
        ModelError: no tile size works, or the network does not fit the card.
    """
    network = _OneTensor(module)
    try:
        _answer(network, card, _SIDE_PX)
    except FOREIGN_ERRORS:  # a transformer takes one size alone
        _checked(network, card, card.tile_px)
        return Padded(network, stride=card.tile_px)
    _checked(network, card, _SIDE_PX)
    for stride in _STRIDES:
        side = stride * (_SIDE_PX // stride + 1)  # an odd multiple: not one of 2 * stride as well
        try:
            _checked(network, card, side)
        except ModelError:
            continue
        return Padded(network, stride=stride)
    _checked(network, card, -(-card.tile_px // _SIDE_PX) * _SIDE_PX)
    return Padded(network, stride=_SIDE_PX)


def _check_detector(module: nn.Module, card: ModelCard) -> None:
    try:
        head_of(card).check(card.name, module, card)
    except FOREIGN_ERRORS as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{card.name}: the network cannot run on a tile of 64 x 64 pixels with the card's {len(card.bands)} bands "
            f"({', '.join(card.band_names)}): {_line(error)}."
        ) from error


def _checked(network: nn.Module, card: ModelCard, side: int) -> None:
    """Test a network on one square tile.

    Raises:
        ModelError: the network fails, or its output is not one finite number per pixel and class.
    """
    bands, tile = len(card.bands), f"a tile of {side} x {side} pixels"
    try:
        answer = _answer(network, card, side)
    except FOREIGN_ERRORS as error:
        if isinstance(error, TypeError) and str(error).startswith("it answers"):
            raise ModelError(f"{card.name}: the network has no single answer: {error}. {_CURE_FORWARD}") from error
        raise ModelError(
            f"{card.name}: the network cannot run on {tile} with the card's {bands} bands "
            f"({', '.join(card.band_names)}): {_line(error)}. Correct the card's bands or tile_px."
        ) from error
    kind = activation(card.name, card)
    channels = 1 if kind in {"sigmoid", "positive"} else len(card.legend)
    if answer.ndim != 4 or answer.shape[0] != 1 or tuple(answer.shape[2:]) != (side, side):
        raise ModelError(
            f"{card.name}: the network answers {tuple(answer.shape)} to {tile}; it must answer for each pixel. "
            "Wrap it in a module that resizes its answer to the tile."
        )
    if answer.shape[1] != channels:
        hint = (
            f"One channel for two classes needs Architecture(..., options={{{ACTIVATION_OPTION!r}: 'sigmoid'}})."
            if answer.shape[1] == 1 and len(card.legend) == 2
            else "Correct the card's legend."
        )
        raise ModelError(
            f"{card.name}: the network answers {answer.shape[1]} channels, its card has {len(card.legend)} classes "
            f"({', '.join(card.legend.names)}). {hint}"
        )
    if not bool(torch.isfinite(answer).all()):
        raise ModelError(f"{card.name}: the network answers NaN or infinity; its weights are broken. Train it again.")


def _answer(network: nn.Module, card: ModelCard, side: int) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = network(_tile(card, side))
    return answer


def _tile(card: ModelCard, side: int) -> Tensor:
    return torch.linspace(-1, 1, side * side).reshape(1, 1, side, side).repeat(1, len(card.bands), 1, 1)


def _side(network: LogitsNetwork) -> int:
    padded = network.network
    return max(_SIDE_PX, padded.stride) if isinstance(padded, Padded) else _SIDE_PX


def _doubts(network: LogitsNetwork, card: ModelCard) -> list[str]:
    """List signs that the output is of another kind than the card states."""
    if network.kind != "logits" or len(card.legend) < 2:
        return []
    with torch.inference_mode():
        answer = network(_tile(card, _side(network)))
    if float(answer.min()) < 0 or not torch.allclose(answer.sum(dim=1), torch.ones(()), atol=1e-4):
        return []
    doubt = (
        "The network's answers look like probabilities, and the card calls them logits: the confidence is wrong unless "
        f"the card's architecture has the option {ACTIVATION_OPTION} 'probabilities'."
    )
    return [doubt]


def _structure(module: nn.Module) -> str:
    """Hash the structure of a module: its layers, their options, and the code of classes that are not torch's."""
    total = hashlib.sha256(repr(module).encode())
    kinds = {type(part) for part in module.modules() if not type(part).__module__.startswith("torch.")}
    for kind in sorted(kinds, key=lambda kind: kind.__qualname__):
        total.update(kind.__qualname__.encode())
        try:
            total.update(inspect.getsource(kind).encode())
        except (OSError, TypeError):  # typed at a prompt
            continue
    return total.hexdigest()


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(".")
