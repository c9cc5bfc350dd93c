"""Published weights into a network of the registry: every tensor placed, every shape checked, the rest named."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.checkpoints.layout import Layout
from geoseg.nn.checkpoints.layouts import LAYOUTS
from geoseg.nn.checkpoints.metadata import metadata_options
from geoseg.nn.checkpoints.mmseg.config import MmsegConfig, UnreadableConfigError, read_mmseg_config
from geoseg.nn.checkpoints.mmseg.options import MMSEGMENTATION, mmseg_options, refuse_other_heads, single_threshold
from geoseg.nn.checkpoints.resnet_name import resnet_depth, resnet_name
from geoseg.nn.checkpoints.source_names import source_names
from geoseg.nn.zoo.registry import NETWORKS, build, nearest, options

_LISTED = 4
_BOTTLENECKS = 50
"""Least depth of a ResNet whose blocks are no basic ones."""
_COUNTER = ".num_batches_tracked"
_OBJECT_AND_REST = 2


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
        threshold: probability from which on the source calls a pixel the class, where it had one channel. The logit is
            moved such that it is 0.5 here.
        bgr: whether the bands of the first layer were turned round.
        config: that mmsegmentation stored with the weights.
        assumed: options that the checkpoint does not hold, with the assumed values.
    """

    network: nn.Module
    layout: Layout
    options: Mapping[str, Any]
    bands: int
    classes: int
    sigmoid: bool
    threshold: float = 0.5
    bgr: bool = False
    config: MmsegConfig | None = None
    assumed: Mapping[str, object] = field(default_factory=dict)


def fit(
    name: str,
    tensors: Mapping[str, Tensor],
    *,
    chosen: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    bgr: bool = False,
) -> Fitted:
    """Build a network and give it a checkpoint's weights.

    Args:
        name: of the network.
        tensors: bare names, from ``strip_wrapper``.
        chosen: options of the network, which precede those that the layout implies.
        metadata: what the checkpoint holds beside its tensors; see ``geoseg.nn.checkpoints.metadata``.
        bgr: turn the bands of the first layer round although the layout does not ask for it.

    Raises:
        ModelError: no layout of this network is recognised, some tensor is missing, left over or of another shape, or
            the checkpoint's configuration says what the network cannot do.
    """
    chosen, metadata = chosen or {}, metadata or {}
    layout = detect_layout(name, tensors)
    if layout.prepare is not None:
        tensors = layout.prepare(tensors)
    config = _config(layout, chosen, metadata)
    arguments: dict[str, Any] = {
        **layout.networks[name],
        **_shown(name, layout, tensors, chosen),
        **metadata_options(name, metadata),
        **({} if config is None else mmseg_options(config, name, options(name))),
        **chosen,
    }
    sides = layout.auxiliary is not None and any(re.search(layout.auxiliary, key) for key in tensors)
    drop_sides = sides and not arguments.get("auxiliary", True)
    tensors = {
        key: tensor
        for key, tensor in tensors.items()
        if not (layout.unused and re.search(layout.unused, key))
        and not (drop_sides and re.search(layout.auxiliary or "", key))
    }
    threshold = single_threshold(config) if layout.source == MMSEGMENTATION else 0.5
    tensors, sigmoid = _two_classes(tensors, layout, threshold)
    if layout.classifier not in tensors:
        raise ModelError(f"looks like {layout.source}, but has no {layout.classifier}")
    if tensors[layout.classifier].ndim == 0:
        raise ModelError(f"looks like {layout.source}, but its {layout.classifier} is a single number")
    classes = max(1, tensors[layout.classifier].shape[0] // layout.cells)
    if NETWORKS[name].task == "interactive":
        if bgr:
            raise ModelError("reads clicks beside the bands; name its bands in their order with --bands, not by --bgr")
        classes = _OBJECT_AND_REST
    if layout.kinds is not None:
        classes, more = layout.kinds(tensors)
        arguments = {**more, **arguments}
    first, shapes = _plan(name, 3, classes, arguments)
    state = _moved(tensors, layout, shapes)
    bands = state[first].shape[1] if first in state and state[first].ndim == 4 else 3
    if bands != 3:
        shapes = _plan(name, bands, classes, arguments)[1]
    _refuse_misfits(name, layout, (shapes, state), {layout.target_name(key): key for key in tensors})
    normalisation = None if config is None else config.normalisation
    bgr = bgr or layout.bgr or (normalisation is not None and normalisation.bgr and bands == 3)
    if bgr:
        state[first] = state[first].flip(1)
    network = build(name, bands, classes, **arguments)
    if config is not None:
        refuse_other_heads(config, network)
    network.load_state_dict(state)
    return Fitted(
        network=network.eval(),
        layout=layout,
        options=arguments,
        bands=bands,
        classes=classes,
        sigmoid=sigmoid,
        threshold=threshold if sigmoid else 0.5,
        bgr=bgr,
        config=config,
        assumed=_assumed(name, layout, arguments, chosen) if config is None else {},
    )


def _config(layout: Layout, chosen: Mapping[str, object], metadata: Mapping[str, object]) -> MmsegConfig | None:
    """Read mmsegmentation's configuration; one that cannot be read is no matter where the options are chosen."""
    if layout.source != MMSEGMENTATION:
        return None
    try:
        return read_mmseg_config(metadata.get("meta"))
    except UnreadableConfigError as error:
        missing = [f"--option {option}=VALUE" for option in layout.undetectable if option not in chosen]
        if not missing:
            return None
        raise ModelError(f"{error}, which determines how the network runs. Pass {', '.join(missing)}") from error


def _shown(name: str, layout: Layout, tensors: Mapping[str, Tensor], chosen: Mapping[str, object]) -> dict[str, object]:
    """Derive options from the shapes and names of the tensors."""
    defaults = options(name)
    shown: dict[str, object] = {}
    if layout.resnet is not None and "backbone" not in chosen:
        backbone = resnet_name(tensors, layout.resnet)
        if backbone is not None:
            _refuse_other_depth(name, layout, backbone)
            shown["backbone"] = backbone
    depth = resnet_depth(shown.get("backbone", chosen.get("backbone")))
    if layout.source == MMSEGMENTATION and "dilate_second" in defaults and depth is not None:
        shown["dilate_second"] = depth >= _BOTTLENECKS
    for option, key in layout.sizes.items():
        size = tensors[key].shape[:1] if key in tensors else ()
        if size and defaults.get(option) != size[0]:
            shown[option] = int(size[0])
    if "auxiliary" in defaults:
        shown["auxiliary"] = layout.auxiliary is not None and any(re.search(layout.auxiliary, key) for key in tensors)
    if layout.positions is not None and layout.positions in tensors and tensors[layout.positions].ndim == 3:
        shown["image_px"] = _image_px(tensors, layout.positions)
    return shown


def _refuse_other_depth(name: str, layout: Layout, backbone: str) -> None:
    preset = NETWORKS[name].options.get("backbone")
    if preset is None or resnet_depth(preset) == resnet_depth(backbone):
        return
    others = [
        other
        for other in layout.networks
        if resnet_depth(NETWORKS[other].options.get("backbone")) == resnet_depth(backbone)
    ]
    cure = f"Import it as {' or '.join(others)}" if others else f"Pass --option backbone={backbone}"
    raise ModelError(f"has a ResNet-{resnet_depth(backbone)}, and not the ResNet of {name}. {cure}")


def _assumed(
    name: str, layout: Layout, arguments: Mapping[str, object], chosen: Mapping[str, object]
) -> dict[str, object]:
    known = {**options(name), **arguments}
    return {option: known[option] for option in layout.undetectable if option not in chosen}


def detect_layout(name: str, tensors: Mapping[str, Tensor]) -> Layout:
    """Detect the layout of a state dict that is to be loaded into a network.

    Raises:
        ModelError: it is of another network's layout, or of none that is known.
    """
    if name not in NETWORKS:
        raise ModelError(f"network {name!r} is unknown; {nearest(name)}")
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
        raise ModelError(
            f"no layout of published weights is known for {name}: nobody else's checkpoint becomes one. "
            "docs/checkpoints.md lists the networks that checkpoints become"
        )
    raise ModelError(
        f"is of no layout known for {name} ({', '.join(known)}); its {len(tensors)} tensors begin with {listed}"
    )


def _image_px(tensors: Mapping[str, Tensor], positions: str) -> int:
    """Side of the tiles that a transformer's positions were made for."""
    patch = next((t.shape[-1] for key, t in tensors.items() if "patch_embed.proj" in key and t.ndim == 4), 16)
    return int((tensors[positions].shape[1] - 1) ** 0.5 + 0.5) * int(patch)


def _two_classes(tensors: dict[str, Tensor], layout: Layout, threshold: float) -> tuple[dict[str, Tensor], bool]:
    """Make two classes of one: with logits 0 and z a softmax gives what the sigmoid of z gave.

    Where the source's class begins at another probability than 0.5, z is moved until it begins there.
    """
    single = {key: tensors[key] for key in layout.single if key in tensors}
    if layout.classifier not in single or any(tensor.shape[:1] != (1,) for tensor in single.values()):
        return tensors, False
    both = {key: torch.cat([torch.zeros_like(tensor), tensor]) for key, tensor in single.items()}
    bias = layout.single[1]
    if bias in both:
        both[bias][1] -= log(threshold / (1 - threshold))
    return {**tensors, **both}, True


def _plan(
    name: str, bands: int, classes: int, arguments: Mapping[str, object]
) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Name the first layer's weight and give every tensor's shape, where it can be without memory for a weight."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*no-op.*")
            network = build(name, bands, classes, **arguments)
    except ModelError:  # some of smp's encoders look at their values while they are built
        network = build(name, bands, classes, **arguments)
    first = next((n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)), "")
    return f"{first}.weight", {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _moved(tensors: Mapping[str, Tensor], layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    state = {layout.target_name(key): tensor for key, tensor in tensors.items()}
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
    absent = sorted(expected.keys() - state.keys())
    missing = source_names(layout, absent[: _LISTED + 1], theirs.values()) + absent[_LISTED + 1 :]
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
