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
            "66371f4cd9a1d9977849ca421b1095e89bacf0c282b4055a53f93e59206281de",
        ),
        "buildings-separate": (
            "buildings-separate.safetensors",
            "3252439bae68201d0c483bd7d49c66e6927ac5e9705e1f33e125b5d8f97729be",
        ),
        "buildings-instances": (
            "buildings-instances.safetensors",
            "d103e55a5320775a1725db9600446007138ef64f342b20eeb980e5da03161672",
        ),
        "forest-unet": (
            "forest-unet.safetensors",
            "25149c17e3dd97c36191b7b4cf06a58c2e8541c403250a2dc2ff401338a0fd47",
        ),
        "landcover-unet": (
            "landcover-unet.safetensors",
            "354c2e006b9b1197c1d997c343178496ce3efeee4631e20a174d7a111342f62e",
        ),
        "roads-unet": (
            "roads-unet.safetensors",
            "38d990e88d06b765429f15d00d0af71e7e5c3998e42a224d6a3c4b9df6118e32",
        ),
        "solar-unet": (
            "solar-unet.safetensors",
            "2d51829fd2435956f45227d36e0d91b2525afa63cb8f06a52ff5da22fef9777f",
        ),
        "town-unet": (
            "town-unet.safetensors",
            "ccff643ae7707135eeb8079082b8890ce5980f376eddb34be925ab722ebb345f",
        ),
        "town-panoptic": (
            "town-panoptic.safetensors",
            "6eeef4de7f690271a7cb2bbc09c5c5a83bcd26d3b13b4903aa4879bbc594981e",
        ),
    }
)
"""Bundled models: name to (file under ``geoseg/models/shipped``, sha256 of the file)."""


CLICK_MODELS: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "clicks": (
            "clicks.safetensors",
            "d8015046d8b2411a188d2bbd6d57fc029fbb05efd89d28df942b977a80528b65",
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
