"""The models that come with geoseg, by name: file and digest."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import ModelError

MODELS = Path(__file__).resolve().parents[1] / "models"

BUNDLED: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "buildings-unet": (
            "buildings-unet.safetensors",
            "100d6346413d680938f737690422dc748a115209d5d6e3bfd018e76d7033fae9",
        ),
        "town-unet": (
            "town-unet.safetensors",
            "2673e41b2f538affab4618656d2535901e81ed8a356fb4bd25d3194bd1da1ac1",
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
    near = difflib.get_close_matches(name_or_path, BUNDLED, n=3, cutoff=0.3) or sorted(BUNDLED)
    raise ModelError(f"model {name_or_path!r} is unknown; bundled: {', '.join(near)}. Or pass a .safetensors file.")
