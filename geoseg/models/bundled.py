"""Bundled models of geoseg by name: file and digest."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import ModelError

MODELS = Path(__file__).resolve().parent / "shipped"

BUNDLED: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "buildings-unet": (
            "buildings-unet.safetensors",
            "850b24acd9fd95c4d1f7d30eecadbec1a40c5d3f9862433c8a9ef74c8e253183",
        ),
        "buildings-separate": (
            "buildings-separate.safetensors",
            "677d1e46457c8b21b936efbbb201ffb0cbbbf810331a2c19965e17132cfeebea",
        ),
        "forest-unet": (
            "forest-unet.safetensors",
            "688618a3c2b353b6d85d6ea4b5fca41ee0a2a77776745e8325e11ba9739b9c13",
        ),
        "landcover-unet": (
            "landcover-unet.safetensors",
            "354c2e006b9b1197c1d997c343178496ce3efeee4631e20a174d7a111342f62e",
        ),
        "roads-unet": (
            "roads-unet.safetensors",
            "0a9a4569061985c1ce6cfb56c2776f2c0270ed4418d73311175cbd887ff860cf",
        ),
        "solar-unet": (
            "solar-unet.safetensors",
            "58b635240bcfe7363836e8cdd396734f892fa5e6e987398125b4603c8344a944",
        ),
        "town-unet": (
            "town-unet.safetensors",
            "08e03011b0da077d7de5d8f88a19ab4680e0ba6e5b8bda0aac64273451406732",
        ),
    }
)
"""Bundled models: name to (file under ``geoseg/models/shipped``, sha256 of the file)."""


CLICK_MODELS: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "clicks": (
            "clicks.safetensors",
            "f2ca1cccfad39f51d20b22ad8ffba48d3f2a33cc558deb5cc4310abdf393ecb5",
        ),
    }
)
"""Bundled models of task ``interactive``, which answer clicks and map no scene; as ``BUNDLED``."""


def resolve(name_or_path: str) -> tuple[Path, str | None]:
    """Find a model's file.

    Args:
        name_or_path: a name of ``BUNDLED`` or of ``CLICK_MODELS``, or the path of a model file.

    Returns:
        The file, and the digest it must have when it is a bundled one.

    Raises:
        ModelError: the text is neither a known name nor a path.
    """
    known = {**BUNDLED, **CLICK_MODELS}
    if name_or_path in known:
        file, sha256 = known[name_or_path]
        return MODELS / file, sha256
    path = Path(name_or_path)
    if os.path.exists(path) or path.suffix or len(path.parts) > 1:  # noqa: PTH110 - no error for a name too long
        return path, None
    raise ModelError(f"model {name_or_path!r} is unknown; bundled: {', '.join(known)}. Or pass a .safetensors file.")


def preview(name: str) -> Path | None:
    """Return the picture of a bundled model, imagery next to the result; None if there is none."""
    path = MODELS / f"{name}.jpg"
    return path if name in BUNDLED and path.is_file() else None
