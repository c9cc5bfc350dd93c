"""Weights published by timm, torchvision and torchgeo, by name: resolved lazily, cached in the libraries' caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from geoseg.core.types.json_value import UntypedMapping
from geoseg.errors import ModelError
from geoseg.io.files.download import fetch

SOURCES = ("timm", "torchvision", "torchgeo")
_NETWORKS: Final = {"U-Net": "smp_unet"}
"""Value of ``model`` in torchgeo's metadata to a name of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWeights:
    """Location of published weights.

    Attributes:
        name: the requested name, ``SOURCE:NAME``.
        url: URL of the file; empty for a file of the Hugging Face hub.
        repository: repository on that hub.
        file: file in that repository, or a local file.
        meta: metadata from the source: bands, classes, encoder, licence.
        network: name of the segmentation network that they are the weights of; empty for an encoder's.
        scaling: mean and deviation of each band, or one for all, on the scale of the pixels as they are stored; None
            if the source does not say.
    """

    name: str
    url: str = ""
    repository: str = ""
    file: str = ""
    meta: UntypedMapping = field(default_factory=dict)
    network: str = ""
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def resolution_m(self) -> float | None:
        """Ground sample distance of the training images, metres."""
        resolution = self.meta.get("resolution")
        return float(resolution) if isinstance(resolution, int | float) and resolution > 0 else None

    @property
    def tile_px(self) -> int | None:
        """Side of the training images, if they were squares."""
        shape = self.meta.get("input_shape")
        square = isinstance(shape, Sequence) and len(shape) == 3 and shape[1] == shape[2]
        return int(shape[1]) if square and shape is not None else None


def is_name(text: str) -> bool:
    """Return True if a text names published weights rather than a file."""
    return text.partition(":")[0] in SOURCES and ":" in text


def look_up(name: str) -> NamedWeights:
    """Find published weights; nothing is downloaded.

    Args:
        name: ``timm:resnet50.a1_in1k``, ``torchvision:ResNet50_Weights.IMAGENET1K_V2``,
            ``torchgeo:Unet_Weights.SENTINEL2_2CLASS_FTW``.

    Raises:
        ModelError: the library has no weights of this name.
    """
    source, _, key = name.partition(":")
    if source == "timm":
        return _of_timm(name, key)
    if source not in SOURCES:
        raise ModelError(f"{name}: weights are named by {', '.join(SOURCES)}, as in timm:resnet50.a1_in1k.")
    find = _torchvision_or_torchgeo(source)
    try:
        weights = find(key)
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{name}: {source} has no weights of this name ({error}).") from error
    meta = dict(weights.meta)
    network = _NETWORKS.get(str(meta.get("model")), "") if source == "torchgeo" and "num_classes" in meta else ""
    scaling = _scaling(weights.transforms) if network else None
    return NamedWeights(name=name, url=str(weights.url), meta=meta, network=network, scaling=scaling)


def local_file(weights: NamedWeights) -> Path:
    """Return the file of published weights, downloaded into torch's or Hugging Face's cache if missing.

    Raises:
        ModelError: it cannot be downloaded.
    """
    if weights.url:
        return fetch(weights.url, Path(torch.hub.get_dir()) / "checkpoints")
    if not weights.repository:
        return Path(weights.file)
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - slow to import, seldom needed
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        return Path(hf_hub_download(weights.repository, weights.file))
    except (HfHubHTTPError, OSError) as error:
        cause = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{weights.name}: cannot be fetched ({cause}). Offline? Fetch {weights.file} of {weights.repository} "
            "elsewhere and pass the file."
        ) from error


def _of_timm(name: str, key: str) -> NamedWeights:
    import timm  # noqa: PLC0415 - slow to import

    try:
        settings = timm.get_pretrained_cfg(key, allow_unregistered=False) if timm.is_model(key) else None
    except RuntimeError:  # the architecture is known, the tag is not
        settings = None
    if settings is None or not (settings.url or settings.file or settings.hf_hub_id):
        near = ", ".join(timm.list_pretrained(f"{key.partition('.')[0]}*")[:4])
        raise ModelError(f"{name}: timm has no weights of this name{f'; it has {near}' if near else ''}.")
    meta = {"license": settings.license, "mean": settings.mean, "std": settings.std}
    if settings.file:
        return NamedWeights(name=name, file=str(settings.file), meta=meta)
    if settings.hf_hub_id:
        file = settings.hf_hub_filename or "model.safetensors"
        return NamedWeights(name=name, repository=settings.hf_hub_id, file=file, meta=meta)
    return NamedWeights(name=name, url=settings.url, meta=meta)


def _torchvision_or_torchgeo(source: str) -> Any:
    if source == "torchvision":
        from torchvision.models import get_weight as of_torchvision  # noqa: PLC0415 - slow to import

        return of_torchvision
    from torchgeo.models import get_weight as of_torchgeo  # noqa: PLC0415 - slow to import

    return of_torchgeo


def _scaling(transforms: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Read mean and deviation from a sequence of transforms: 0 and 1 if none of them scales, None if several do."""
    steps = list(transforms) if isinstance(transforms, torch.nn.Sequential) else [transforms]
    scalers = [step for step in steps if hasattr(step, "mean") and hasattr(step, "std")]
    if not scalers:
        return (0.0,), (1.0,)
    if len(scalers) > 1:
        return None
    mean, std = (tuple(float(value) for value in getattr(scalers[0], key)) for key in ("mean", "std"))
    return mean, std
