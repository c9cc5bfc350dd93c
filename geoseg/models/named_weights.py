"""Weights published by timm, torchvision and torchgeo, by name: resolved lazily, cached in the libraries' caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from geoseg.errors import ModelError
from geoseg.io.files.download import fetch

SOURCES = ("timm", "torchvision", "torchgeo")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWeights:
    """Location of published weights.

    Attributes:
        name: the requested name, ``SOURCE:NAME``.
        url: URL of the file; empty for a file of the Hugging Face hub.
        repository: repository on that hub.
        file: file in that repository, or a local file.
        meta: metadata from the source: bands, classes, encoder, licence.
    """

    name: str
    url: str = ""
    repository: str = ""
    file: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


def is_name(text: str) -> bool:
    """Return True if a text names published weights rather than a file."""
    return text.partition(":")[0] in SOURCES and ":" in text


def look_up(name: str) -> NamedWeights:
    """Find published weights; nothing is downloaded.

    Args:
        name: ``timm:resnet50.a1_in1k``, ``torchvision:ResNet50_Weights.IMAGENET1K_V2``,
            ``torchgeo:Unet_Weights.SENTINEL2_2CLASS_FTW``.

    Raises:
        ModelError: the library is not installed, or it has no weights of this name.
    """
    source, _, wanted = name.partition(":")
    if source == "timm":
        return _of_timm(name, wanted)
    if source not in SOURCES:
        raise ModelError(f"{name}: weights are named by {', '.join(SOURCES)}, as in timm:resnet50.a1_in1k.")
    find = _torchvision_or_torchgeo(source)
    try:
        weights = find(wanted)
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{name}: {source} has no weights of this name ({error}).") from error
    return NamedWeights(name=name, url=str(weights.url), meta=dict(weights.meta))


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


def _of_timm(name: str, wanted: str) -> NamedWeights:
    import timm  # noqa: PLC0415 - slow to import

    try:
        settings = timm.get_pretrained_cfg(wanted, allow_unregistered=False) if timm.is_model(wanted) else None
    except RuntimeError:  # the architecture is known, the tag is not
        settings = None
    if settings is None or not (settings.url or settings.file or settings.hf_hub_id):
        near = ", ".join(timm.list_pretrained(f"{wanted.partition('.')[0]}*")[:4])
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
    try:
        from torchgeo.models import get_weight as of_torchgeo  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError("weights torchgeo:* need torchgeo: pip install 'geoseg[torchgeo]'") from error
    return of_torchgeo
