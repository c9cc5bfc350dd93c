"""Assets: what a scene's task makes and of what, under names that Prefect takes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

from prefect.assets import Asset

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.layer import usual_schema
from geoseg.core.spec import PredictSpec
from geoseg.core.types.json_value import UntypedDict
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.stac_item import without_secrets
from geoseg.models.bundled import BUNDLED

_LONGEST = 512


def lineage(config: ArchiveConfig, ref: SceneRef) -> UntypedDict:
    """Name what a scene's task makes and of what, as ``with_options`` of a task takes it."""
    made = layer_assets(config.place, ref.name, config.predict)
    return {"assets": made, "asset_deps": source_assets(ref.uri, config.model)}


def layer_assets(place: str | Path, name: str, spec: PredictSpec) -> list[str]:
    """Name the layers that segmenting a scene makes.

    Args:
        place: folder, or address on a store, of all scenes' folders.
        name: name of the scene.
        spec: what is made.
    """
    bundle = Bundle.in_folder(Path(), name)
    files = [bundle.file_of(layer).as_posix() for layer in usual_schema(spec).published]
    return [asset_key(f"{place}/{file}") for file in files]


def source_assets(scene: str, model: str) -> list[str | Asset]:
    """Name what the layers of a scene are made from: its imagery and the model."""
    return [asset_key(scene), asset_key(f"geoseg://models/{model}" if model in BUNDLED else model)]


def whole_path(path: str | Path) -> Path:
    """Make a path absolute, without ``..`` in it."""
    whole = Path(path).absolute()
    return whole.resolve() if ".." in whole.parts else whole


def asset_key(path_or_address: str | Path) -> str:
    """Name a file or address as an asset: a URI without what Prefect forbids in keys.

    Percent signs are forbidden too, so that characters are escaped with ``~``; what is too long ends in a digest.
    Passwords and queries, which may open a store, are left out.

    Examples:
        >>> asset_key("/data/a b.tif")
        'file:///data/a~20b.tif'
        >>> asset_key("/data/out/../b.tif")
        'file:///data/b.tif'
        >>> asset_key("https://user:secret@example.org/a.tif?token=1")
        'https://example.org/a.tif'
    """
    text = str(path_or_address)
    scheme, mark, rest = without_secrets(text).partition("://")
    if not mark:
        scheme, rest = "file", whole_path(text).as_posix()
    path = quote(rest, safe="/:@!$*(),;=+", encoding="utf-8", errors="surrogateescape")
    key = f"{scheme}://{path}".replace("~", "~7E").replace("%", "~")
    if len(key) <= _LONGEST:
        return key
    return f"{key[: _LONGEST - 17]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
