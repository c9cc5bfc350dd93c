"""The models of an archive's layers, as items of its catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from geoseg.archive.report.catalogue import CATALOGUE, FOLDER
from geoseg.io.files.writing import whole_file
from geoseg.io.publish.stac_item import SHA256_PREFIX
from geoseg.io.publish.stac_model import ModelFacts, write_model_item
from geoseg.io.weights.model_file import read_card
from geoseg.models.bundled import BUNDLED, resolve


def write_models(out: Path, models: Mapping[str, ModelFacts], given: Path | None) -> list[Path]:
    """Write a STAC item for each model, and a copy of its file where that is available.

    Args:
        out: the archive's folder.
        models: facts from the scenes' items, by id.
        given: file of one of the models; those of bundled models are found.

    Returns:
        The files written.

    Raises:
        WriteError: the disk is full or fails.
        ModelError: ``given`` is no model.
    """
    written: list[Path] = []
    for ident, model in models.items():
        item = out / FOLDER / "models" / f"{ident}.stac.json"
        weights = _weights(model, given)
        if weights is not None:
            weights = _copied(weights, item.with_name(f"{ident}.safetensors"))
            written.append(weights)
        write_model_item(item, model, weights=weights, root=f"../../{CATALOGUE}")
        written += [item] if weights is not None else [item, item.with_name(f"{ident}.json")]
    return written


def _weights(model: ModelFacts, given: Path | None) -> Path | None:
    """Find the file whose weights have the given digest."""
    name = str(model.mlm["name"])
    candidates = [given] if given is not None else []
    candidates += [resolve(name)[0]] if name in BUNDLED else []
    for path in candidates:
        if path.is_file() and model.checksum == SHA256_PREFIX + read_card(path).weights_sha256:
            return path
    return None


def _copied(source: Path, target: Path) -> Path:
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        with whole_file(target, size_bytes=source.stat().st_size) as part:
            shutil.copyfile(source, part)
    return target
