"""The models that come with geoseg, by name: file and digest."""

from __future__ import annotations

import difflib
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import ModelError

MODELS = Path(__file__).resolve().parents[1] / "models"

BUNDLED: MappingProxyType[str, tuple[str, str]] = MappingProxyType({})
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
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path, None
    near = difflib.get_close_matches(name_or_path, BUNDLED, n=3, cutoff=0.3) or sorted(BUNDLED)
    raise ModelError(f"model {name_or_path!r} is unknown; bundled: {', '.join(near)}. Or pass a .safetensors file.")
