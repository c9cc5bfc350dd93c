"""Published weights into a network of the registry: every tensor placed, every shape checked, the rest named."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.checkpoints.hints import said
from geoseg.nn.checkpoints.known import LAYOUTS
from geoseg.nn.checkpoints.layout import Layout
from geoseg.nn.zoo.registry import build, nearest, options

_LISTED = 4
_COUNTER = ".num_batches_tracked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A network with the weights of a checkpoint.

    Attributes:
        network: in evaluation mode.
        layout: that the weights had.
        options: that the network was built with.
        bands: its input channels.
        classes: its output channels.
        sigmoid: whether the source had one channel, whose second one here is the class.
    """

    network: nn.Module
    layout: Layout
    options: Mapping[str, Any]
    bands: int
    classes: int
    sigmoid: bool


def fit(
    name: str,
    tensors: Mapping[str, Tensor],
    *,
    chosen: Mapping[str, Any] | None = None,
    hints: Mapping[str, Any] | None = None,
    bgr: bool = False,
) -> Fitted:
    """Build a network and give it a checkpoint's weights.

    Args:
        name: of the network.
        tensors: bare names, from ``unwrap``.
        chosen: options of the network that are wanted, before those that the layout implies.
        hints: what the checkpoint says beside its tensors; see ``geoseg.nn.checkpoints.hints``.
        bgr: turn the bands of the first layer round although the layout does not ask for it.

    Raises:
        ModelError: no layout of this network is recognised, or some tensor is missing, left over or of another shape.
    """
    defaults = options(name)
    layout = recognise(name, tensors)
    sides = layout.sides is not None and any(re.search(layout.sides, key) for key in tensors)
    wanted: dict[str, Any] = {**layout.networks[name], **said(name, hints or {})}
    if "auxiliary" in defaults:
        wanted["auxiliary"] = sides
    if layout.positions is not None and layout.positions in tensors and tensors[layout.positions].ndim == 3:
        wanted["image_px"] = _image_px(tensors, layout.positions)
    wanted |= chosen or {}
    drop_sides = sides and not wanted.get("auxiliary", True)
    tensors = {
        key: tensor
        for key, tensor in tensors.items()
        if not (layout.idle and re.search(layout.idle, key)) and not (drop_sides and re.search(layout.sides or "", key))
    }
    tensors, sigmoid = _two_classes(tensors, layout)
    if layout.classifier not in tensors:
        raise ModelError(f"looks like {layout.source}, but has no {layout.classifier}")
    if tensors[layout.classifier].ndim == 0:
        raise ModelError(f"looks like {layout.source}, but its {layout.classifier} is a single number")
    classes = tensors[layout.classifier].shape[0]
    first, shapes = _plan(name, 3, classes, wanted)
    state = _moved(tensors, layout, shapes)
    bands = state[first].shape[1] if first in state and state[first].ndim == 4 else 3
    if bands != 3:
        shapes = _plan(name, bands, classes, wanted)[1]
    _refuse_misfits(name, layout, (shapes, state), {layout.ours(key): key for key in tensors})
    if layout.bgr or bgr:
        state[first] = state[first].flip(1)
    network = build(name, bands, classes, **wanted)
    network.load_state_dict(state)
    return Fitted(network=network.eval(), layout=layout, options=wanted, bands=bands, classes=classes, sigmoid=sigmoid)


def recognise(name: str, tensors: Mapping[str, Tensor]) -> Layout:
    """Tell the layout of a state dict that shall become a network.

    Raises:
        ModelError: it is of another network's layout, or of none that is known.
    """
    fitting = [layout for layout in LAYOUTS if layout.fits(tensors)]
    for layout in fitting:
        if name in layout.networks:
            return layout
    if fitting:
        others = sorted({network for layout in fitting for network in layout.networks})
        sources = " or ".join(dict.fromkeys(layout.source for layout in fitting))
        raise ModelError(f"is of {sources}, and not a {name}; import it as {', '.join(others[:6])}")
    known = sorted({layout.source for layout in LAYOUTS if name in layout.networks})
    listed = ", ".join(list(tensors)[:_LISTED])
    if not known:
        raise ModelError(f"no layout of weights is known for {name}; {nearest(name)}")
    raise ModelError(
        f"is of no layout known for {name} ({', '.join(known)}); its {len(tensors)} tensors begin with {listed}"
    )


def _image_px(tensors: Mapping[str, Tensor], positions: str) -> int:
    """Side of the tiles that a transformer's positions were made for."""
    patch = next((t.shape[-1] for key, t in tensors.items() if "patch_embed.proj" in key and t.ndim == 4), 16)
    return int((tensors[positions].shape[1] - 1) ** 0.5 + 0.5) * int(patch)


def _two_classes(tensors: dict[str, Tensor], layout: Layout) -> tuple[dict[str, Tensor], bool]:
    """Make two classes of one: with logits 0 and z a softmax gives what the sigmoid of z gave."""
    single = {key: tensors[key] for key in layout.single if key in tensors}
    if layout.classifier not in single or any(tensor.shape[:1] != (1,) for tensor in single.values()):
        return tensors, False
    both = {key: torch.cat([torch.zeros_like(tensor), tensor]) for key, tensor in single.items()}
    return {**tensors, **both}, True


def _plan(name: str, bands: int, classes: int, wanted: Mapping[str, Any]) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Name the first layer's weight and give every tensor's shape, where it can be without memory for a weight."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*no-op.*")
            network = build(name, bands, classes, **wanted)
    except ModelError:  # some of smp's encoders look at their values while they are built
        network = build(name, bands, classes, **wanted)
    first = next((n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)), "")
    return f"{first}.weight", {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _moved(tensors: Mapping[str, Tensor], layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    state = {layout.ours(key): tensor for key, tensor in tensors.items()}
    if len(state) < len(tensors):
        raise ModelError(f"looks like {layout.source}, but several of its names become one of ours")
    for key, tensor in list(state.items()):
        for blocks in layout.blocks:
            turned = tensor.ndim > blocks.dim and bool(re.search(blocks.pattern, key))
            if turned and tensor.shape[blocks.dim] % len(blocks.order) == 0:
                pieces = tensor.chunk(len(blocks.order), blocks.dim)
                state[key] = torch.cat([pieces[place] for place in blocks.order], blocks.dim)
    for key, shape in shapes.items():
        if key in state:
            continue
        if key.endswith(_COUNTER):  # older torch kept none, and no prediction needs it
            state[key] = torch.zeros((), dtype=torch.int64)
        elif layout.zeros and re.search(layout.zeros, key):
            state[key] = torch.zeros(shape)
    _fold_patch_bias(state)
    return state


def _fold_patch_bias(state: dict[str, Tensor]) -> None:
    """Move the bias of a transformer's patches into the positions, where it adds to every patch alike."""
    bias = state.get("body.backbone.patches.bias")
    positions = state.get("body.backbone.positions")
    if bias is None or positions is None or positions.ndim != 3 or positions.shape[2] != bias.numel():
        return
    del state["body.backbone.patches.bias"]
    state["body.backbone.positions"] = torch.cat([positions[:, :1], positions[:, 1:] + bias], dim=1)


def _refuse_misfits(
    name: str,
    layout: Layout,
    expected_and_found: tuple[Mapping[str, tuple[int, ...]], Mapping[str, Tensor]],
    theirs: Mapping[str, str],
) -> None:
    expected, state = expected_and_found
    missing = sorted(expected.keys() - state.keys())
    extra = sorted(theirs.get(key, key) for key in state.keys() - expected.keys())
    misshapen = [
        f"{theirs.get(key, key)} {tuple(state[key].shape)} for {expected[key]}"
        for key in expected
        if key in state and tuple(state[key].shape) != expected[key]
    ]
    parts = [("missing", missing), ("extra", extra), ("misshapen", misshapen)]
    said_ = [f"{len(names)} {what}: {_few(names)}" for what, names in parts if names]
    if said_:
        raise ModelError(f"is of {layout.source}, but does not fit {name}: {'; '.join(said_)}")


def _few(names: list[str]) -> str:
    more = "" if len(names) <= _LISTED else ", …"
    return ", ".join(names[:_LISTED]) + more
