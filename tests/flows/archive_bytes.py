"""The layers of an archive by digest, and those that single scenes give."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from geoseg.archive.sources.find import find_scenes
from geoseg.models.model import load_model
from geoseg.run.predict import predict


def layers(out: Path) -> dict[str, str]:
    """Digest of every scene's layers but those that name their time."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in sorted(out.glob("area*"))
        for path in sorted(folder.iterdir())
        if path.name != "run.json" and not path.name.endswith(".stac.json")
    }


def alone(config: Any, out: Path) -> dict[str, str]:
    """The layers that ``geoseg predict`` gives for each scene by itself."""
    model = load_model(config.model, device="cpu", runtime="torch", precision="fp32")
    for ref in find_scenes(config):
        predict(ref.uri, model, out, spec=config.predict, name=ref.name)
    return layers(out)
