"""STAC item of a model, with the MLM extension: network, inputs, outputs and file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from geoseg.core.types.json_value import JsonDict, UntypedMapping
from geoseg.io.files.writing import write_json
from geoseg.io.publish.stac_item import SHA256_PREFIX, STAC_VERSION, href

MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
_EXTENSIONS = (MLM, "https://stac-extensions.github.io/file/v2.1.0/schema.json")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\- ]+[a-zA-Z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Facts about a model, collected from the items of scenes.

    Attributes:
        mlm: the fields of MLM without their prefix: name, architecture, framework, tasks, input, output.
        version: version of the model.
        licence: licence of the model, an SPDX name or free text.
        checksum: multihash of the weights; empty if the card has none.
        since: time of its first use, RFC 3339.
    """

    mlm: UntypedMapping = field(hash=False)
    version: str
    licence: str
    checksum: str
    since: str

    @property
    def ident(self) -> str:
        """Identifier for file names: name, version and the start of the checksum."""
        words = (str(self.mlm["name"]), self.version, self.checksum.removeprefix(SHA256_PREFIX)[:8])
        return re.sub(r"[^0-9A-Za-z._-]+", "_", "-".join(word for word in words if word))


def write_model_item(path: Path, model: ModelFacts, *, weights: Path | None, root: str) -> None:
    """Write the item of a model.

    Args:
        path: the final ``.stac.json``.
        model: facts about the model.
        weights: the model's file, in the folder of ``path``; None: the item links to a file of the facts, which is
            written next to it.
        root: relative address of the catalogue.

    Raises:
        WriteError: the disk is full or fails.

    Source:
        STAC 1.1.0; MLM 1.4: required fields, an asset with the role ``mlm:model`` and its ``mlm:artifact_type``, and
        ``bands`` for the names that ``mlm:input`` refers to: among the properties, where MLM looks for them, and in the
        asset, without which STAC allows none there. The geometry is null: the area of use is unknown.
    """
    if weights is None:
        definition = path.with_name(path.name.removesuffix(".stac.json") + ".json")
        write_json(definition, {"version": model.version, "licence": model.licence, **model.mlm})
        title = "What is known of the model"
        asset = _asset(definition, title, "application/json", "geoseg.facts", ["metadata"], name=definition.name)
    else:
        asset = weights_asset(weights, weights.name)
    write_json(path, model_item(model, asset, root=root))


def model_item(model: ModelFacts, asset: JsonDict, *, root: str | None) -> JsonDict:
    """Make the item of a model.

    Args:
        model: facts about the model.
        asset: asset of its file.
        root: relative address of the catalogue; None: it stands alone.
    """
    name = str(model.mlm["name"])
    fields = dict(model.mlm) | {"name": name if _NAME.fullmatch(name) else f"model-{name}-of-geoseg"}
    names = dict.fromkeys(band for source in model.mlm["input"] for band in source["bands"])
    bands = [{"name": band} for band in names]
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(_EXTENSIONS),
        "id": model.ident,
        "geometry": None,
        "properties": {
            "datetime": model.since,
            "title": f"Model {name}, version {model.version}",
            "license": _licence(model.licence),
            "bands": bands,
            **{f"mlm:{key}": value for key, value in fields.items()},
            "geoseg:model_version": model.version,
            "geoseg:model_licence": model.licence,
            **({"geoseg:weights_checksum": model.checksum} if model.checksum else {}),
        },
        "links": [
            {"rel": rel, "href": root, "type": "application/json"} for rel in ("root", "parent") if root is not None
        ],
        "assets": {"model": asset | {"bands": bands}},
    }


def weights_asset(weights: Path, name: str) -> JsonDict:
    """Describe a model file as the asset of its item.

    Args:
        weights: the file.
        name: its name in the folder of the item.
    """
    kind = "application/octet-stream"
    return _asset(weights, "Weights and card", kind, "safetensors.torch.save_file", ["mlm:weights"], name=name)


def _asset(file: Path, title: str, kind: str, artifact: str, roles: list[str], *, name: str) -> JsonDict:
    with file.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    return {
        "href": "./" + href(name),
        "title": title,
        "type": kind,
        "roles": ["mlm:model", *roles],
        "mlm:artifact_type": artifact,
        "file:size": file.stat().st_size,
        "file:checksum": SHA256_PREFIX + digest,
    }


def _licence(licence: str) -> str:
    """Return an SPDX name unchanged, and ``other`` for other text, as STAC requires."""
    return licence if re.fullmatch(r"[\w\-.+]+", licence) else "other"
