"""Begin a network with an encoder's published weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.instance.contract import InstanceNetwork
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.nn.parts.vit import ViT

_PLACES = ("encoder", "backbone", "blocks")
_VIT_NAMES = {"cls_token": "class_token", "pos_embed": "positions", "patch_embed.proj.weight": "patches.weight"}


def find_encoder(network: nn.Module) -> nn.Module | None:
    """Return the part of a network of the registry that reads the image, None where it has no such part."""
    if isinstance(network, InstanceNetwork | InteractiveNetwork):
        return network.encoder
    body = getattr(network, "body", network)
    inner = getattr(body, "network", body)
    return next((m for place in _PLACES if isinstance(m := getattr(inner, place, None), nn.Module)), None)


def load_encoder_weights(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load published weights into an encoder, in place.

    Tensors are matched by name, or where the names differ between libraries in their order, which is that of the
    layers; every shape must be the encoder's. What follows the encoder's tensors, a classifier, is left out. The first
    layer is adapted by ``adapt_bands``, the positions of a transformer are resized.

    Raises:
        ModelError: a tensor is missing or has another shape.
    """
    own = encoder.state_dict()
    if isinstance(encoder, ViT):
        weights = _for_vit(encoder, weights)
    if not own.keys() <= weights.keys():
        tensors = [t for key, t in weights.items() if not _counter(key)]
        names = [key for key in own if not _counter(key)]
        weights = dict(zip(names, tensors, strict=False))
    ready: dict[str, Tensor] = {}
    first = True
    for name, mine in own.items():
        if _counter(name):
            ready[name] = weights.get(name, mine)
            continue
        tensor = weights.get(name)
        if tensor is not None and first and tensor.ndim == 4 and mine.ndim == 4:
            tensor, first = adapt_bands(tensor, mine.shape[1]), False
        if tensor is None or tensor.shape != mine.shape:
            found = "missing" if tensor is None else f"{tuple(tensor.shape)} for {tuple(mine.shape)}"
            raise ModelError(f"its tensors are not the encoder's; the first that differs is {name} ({found})")
        ready[name] = tensor
    encoder.load_state_dict(ready)


def load_fitting_tensors(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load the weights of a network for class maps into one that reads clicks, in place, as far as they fit.

    Tensors of equal name fit where their shapes are equal, where ours have further input channels, which keep a tenth
    of their weights, and where theirs have two outputs for each of ours: the difference of the logits of two classes.
    """
    own = network.state_dict()
    for name, mine in own.items():
        theirs = weights.get(name)
        if theirs is None or theirs.ndim != mine.ndim:
            continue
        if theirs.shape == mine.shape:
            own[name] = theirs
        elif theirs.ndim and theirs.shape[0] == 2 * mine.shape[0] and theirs.shape[1:] == mine.shape[1:]:
            own[name] = theirs[mine.shape[0] :] - theirs[: mine.shape[0]]
        elif theirs.ndim == 4 and theirs.shape[0] == mine.shape[0] and theirs.shape[2:] == mine.shape[2:]:
            shared = theirs.shape[1]
            if shared < mine.shape[1]:
                own[name] = torch.cat([theirs, 0.1 * mine[:, shared:]], dim=1)
    network.load_state_dict(own)


def adapt_bands(weight: Tensor, bands: int) -> Tensor:
    """Give a first convolution another number of input bands.

    Band i of the new layer has the weights of band i modulo the old number, all scaled by old over new, so that the
    sum over equal bands stays what it was; one band alone has the sum of all.

    Args:
        weight: (out, old bands, rows, cols).
        bands: the new number.

    Returns:
        (out, bands, rows, cols); the weight itself where the number stays.
    """
    old = weight.shape[1]
    if bands == old:
        return weight
    if bands == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [i % old for i in range(bands)]] * (old / bands)


def _counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _for_vit(encoder: ViT, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn timm's names into ours, put the patches' bias, which ours have not, into the positions, and resize these."""
    renamed = {_VIT_NAMES.get(name, name): tensor for name, tensor in weights.items()}
    positions, target = renamed.get("positions"), encoder.positions
    if positions is None or positions.ndim != 3:
        return renamed
    first, grid = positions[:, :1], positions[:, 1:]
    bias = renamed.get("patch_embed.proj.bias")
    if bias is not None:
        grid = grid + bias
    if positions.shape[1] != target.shape[1]:
        old, new = (int((p.shape[1] - 1) ** 0.5) for p in (positions, target))
        picture = grid.transpose(1, 2).reshape(1, -1, old, old)
        picture = functional.interpolate(picture, size=(new, new), mode="bicubic", align_corners=False)
        grid = picture.flatten(2).transpose(1, 2)
    return {**renamed, "positions": torch.cat([first, grid], dim=1)}
