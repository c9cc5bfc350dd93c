"""The models that come with geoseg, by name: file and digest."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import ModelError

MODELS = Path(__file__).resolve().parents[1] / "models"

BUNDLED: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "buildings-unet": (
            "buildings-unet.safetensors",
            "8ae481fc593afd1476cea7f5bb3da076448755cab1c7a1fda3cec798a2c52399",
        ),
        "forest-unet": (
            "forest-unet.safetensors",
            "04b46015290a48f0c266a4599f9cba78a2ae750b8c3e5d1125bdd28d975a3f2c",
        ),
        "landcover-unet": (
            "landcover-unet.safetensors",
            "00d324e7d90e40fc0f2c22bf795d90a48909f3a6d44a89ad5e31de62caba5664",
        ),
        "roads-unet": (
            "roads-unet.safetensors",
            "f7a5f8b66deb1eb93aabc35f3a733f8ac006e7ac6fd7ba2e76c2a313f644e827",
        ),
        "solar-unet": (
            "solar-unet.safetensors",
            "4d8d008b146398f2449f324107de51eefbc02a59729644b4bda9fa6033bdb4a2",
        ),
        "town-unet": (
            "town-unet.safetensors",
            "c4ec8babf202a98ca0978a0cdef8e4e8bf753e49fa6acbff32c633d7d3e3e1c1",
        ),
    }
)
"""Name to (file under ``geoseg/models``, sha256 of the file)."""


def resolve(name_or_path: str) -> tuple[Path, str | None]:
    """Find a model's file.

    Args:
        name_or_path: a name of ``BUNDLED``, or the path of a model file.

    Returns:
        The file, and the digest it must have when it is a bundled one.

    Raises:
        ModelError: neither a known name nor something that looks like a path.
    """
    if name_or_path in BUNDLED:
        file, sha256 = BUNDLED[name_or_path]
        return MODELS / file, sha256
    path = Path(name_or_path)
    if os.path.exists(path) or path.suffix or len(path.parts) > 1:  # noqa: PTH110 - no error for a name too long
        return path, None
    known = ", ".join(sorted(BUNDLED))
    raise ModelError(f"model {name_or_path!r} is unknown; bundled: {known}. Or pass a .safetensors file.")
