"""Exchange of model files: a model with its description is put to a place, and fetched from there by its digest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.core.card import ModelCard
from geoseg.core.types.json_value import JsonDict, UntypedMapping
from geoseg.errors import ModelError, OutputError, SceneError, UsageError
from geoseg.io.files.place import Place
from geoseg.io.files.targets import check_folder, is_there, keep_existing
from geoseg.io.publish.stac_item import SHA256_PREFIX, mlm_fields, moment
from geoseg.io.publish.stac_model import ModelFacts, model_item, weights_asset
from geoseg.io.weights.model_file import read_model
from geoseg.models.bundled import resolve

SUFFIX: Final = ".safetensors"
_PIN: Final = re.compile(r"#sha256=([0-9a-fA-F]{64})$")
_MOST_BYTES: Final = 20 * 2**30
_MOST_DESCRIPTION_BYTES: Final = 4 * 2**20


class Description(BaseModel):
    """Content of ``NAME-VERSION.json`` next to a model.

    Attributes:
        file: name of the model file.
        sha256: digest of that file.
        size_bytes: its size.
        card: card of the model.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)
    card: ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Reference to a model at a place.

    Attributes:
        place: folder or address of the folder.
        file: name of the model file.
        sha256: digest that it must have; None: not pinned.
    """

    place: str
    file: str
    sha256: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``PLACE/NAME.safetensors#sha256=HEX``; the digest may be missing.

        Raises:
            UsageError: it names no model file.

        Examples:
            >>> Reference.parse("https://host/models/roofs-1.safetensors").file
            'roofs-1.safetensors'
        """
        pin = _PIN.search(text)
        address = text[: pin.start()] if pin else text
        if "#sha256=" in address:
            raise UsageError(f"{text}: after #sha256= 64 hexadecimal digits are expected.")
        place, _, last = address.rpartition("/")
        file = unquote(last) if "://" in address else last
        if not file.endswith(SUFFIX) or PurePosixPath(file).name != file:
            raise UsageError(f"{text}: the address of a model file ({SUFFIX}) is expected.")
        root = "/" if address.startswith("/") and not place else "."
        return cls(place=place or root, file=file, sha256=pin[1].lower() if pin else None)


def push_model(model: str, place: Place, *, overwrite: bool = False) -> tuple[str, Description]:
    """Put a model and its descriptions to a place: ``NAME-VERSION.safetensors``, ``.json`` and ``.stac.json``.

    The last is a STAC item with the extension MLM, for other programs.

    Args:
        model: bundled name or model file.
        place: where to.
        overwrite: replace another model of that name and version.

    Returns:
        The pinned reference, and the description.

    Raises:
        ModelError: the model is broken or no geoseg model file.
        OutputError: the place has another model of that name and version, or the server refuses it.
        UsageError: the place is a file, or has a folder of that name.
    """
    if not place.remote:
        check_folder(Path(place.address))
    path, sha256 = resolve(model)
    _, card = read_model(path, sha256)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stem = f"{card.name}-{card.version}"
    described = Description(file=stem + SUFFIX, sha256=digest, size_bytes=path.stat().st_size, card=card)
    reference = f"{place.name_of(described.file)}#sha256={digest}"
    if not place.remote:
        for suffix in (".json", ".stac.json"):
            keep_existing(Path(place.address, stem + suffix), overwrite=True, cure="")  # a folder is refused
    there = place.read(f"{stem}.json", _MOST_DESCRIPTION_BYTES)
    if there is not None and not overwrite:
        description = place.name_of(f"{stem}.json")
        try:
            known = _described(there, description)
        except ModelError as error:
            cure = "Choose another place, or --overwrite to replace it."
            raise OutputError(f"{description} exists already, and describes no model. {cure}") from error
        if known.sha256 != digest:
            raise OutputError(
                f"{place.name_of(described.file)} exists already, with sha256 {known.sha256}. Give the model another "
                "version, or --overwrite to replace it."
            )
    if not place.remote:
        _keep_standing(Path(place.address, described.file), digest, overwrite=overwrite)
    _put_all(place, path, described, new=there is None, overwrite=overwrite)
    return reference, described


def _put_all(place: Place, path: Path, described: Description, *, new: bool, overwrite: bool) -> None:
    """Put the files of a model that are not there yet, or all of them.

    Args:
        place: where to.
        path: the model.
        described: its description.
        new: the place has no description of it.
        overwrite: replace what stands there.

    Raises:
        OutputError: an item of another one stands there, or the server refuses a file.
    """
    stem = described.file.removesuffix(SUFFIX)
    item = f"{stem}.stac.json"
    stands = not overwrite and place.has(item)
    if stands and new:
        raise OutputError(f"{place.name_of(item)} exists already. Choose another place, or --overwrite to replace it.")
    if new or overwrite or not place.has(described.file):
        place.put(described.file, path)
        place.put(f"{stem}.json", _text(described.model_dump(mode="json")))
    if not stands:  # last, or a push that is gone on with would take its own item for that of another model
        place.put(item, _text(_item(described.card, path, described.file)))


def _text(document: UntypedMapping) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _item(card: ModelCard, weights: Path, name: str) -> JsonDict:
    """Make the STAC item of a model file that gets a name at its place."""
    checksum = SHA256_PREFIX + card.weights_sha256 if card.weights_sha256 else ""
    facts = ModelFacts(
        mlm=mlm_fields(card),
        version=card.version,
        licence=card.licence,
        checksum=checksum,
        since=moment(datetime.now(UTC)),
    )
    return model_item(facts, weights_asset(weights, name), root=None)


def describe_model(reference: Reference, place: Place) -> Description:
    """Read the description of a model at a place; the model itself is not read.

    Raises:
        ModelError: there is none, it is broken, or it describes another file than the pinned one.
    """
    name = reference.file.removesuffix(SUFFIX) + ".json"
    content = place.read(name, _MOST_DESCRIPTION_BYTES)
    if content is None:
        raise ModelError(
            f"{place.name_of(name)}: there is no description. Was the model put there by geoseg models push?"
        )
    described = _described(content, place.name_of(name))
    if reference.sha256 not in {None, described.sha256}:
        raise ModelError(
            f"{place.name_of(name)}: it describes a model of sha256 {described.sha256}, not {reference.sha256}. The "
            "model was replaced: ask its maker."
        )
    return described


def pull_model(reference: Reference, place: Place, out: Path, *, overwrite: bool = False) -> tuple[Path, Description]:
    """Fetch a pinned model and check it.

    Args:
        reference: the model, with its digest.
        place: its place.
        out: folder to write it into.
        overwrite: replace another file of that name.

    Returns:
        The model file and its description.

    Raises:
        UsageError: the reference is not pinned.
        ModelError: the description or the model is another one, or broken.
        OutputError: another file stands there.
    """
    if reference.sha256 is None:
        raise UsageError(f"{reference.file}: a digest is needed, #sha256=HEX.")
    described = describe_model(reference, place)
    target = out / reference.file
    if target.is_file():
        with target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == reference.sha256:
                return target, described
    # a file that is not there yet is not noted as one that a rerun would refuse: pulling it again is no error
    keep_existing(
        target, overwrite=overwrite or not is_there(target), cure="Choose another --out, or --overwrite to replace it."
    )
    limit = min(described.size_bytes, _MOST_BYTES)
    try:
        place.fetch(reference.file, target, sha256=reference.sha256, limit=limit)
    except SceneError as error:
        raise ModelError(str(error)) from error
    _, card = read_model(target)
    if card != described.card:
        raise ModelError(f"{target}: its card is not that of its description. Ask its maker.")
    return target, described


def _keep_standing(target: Path, sha256: str, *, overwrite: bool) -> None:
    """Refuse to replace a file that is not the model with this digest, in a folder.

    Raises:
        OutputError: another file, or a link to one, stands there.
        UsageError: a folder stands there.
    """
    same = False
    if target.is_file():
        with target.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    cure = "Give the model another version, or --overwrite to replace it."
    keep_existing(target, overwrite=overwrite or same or not is_there(target), cure=cure)
    description = target.with_suffix(".json")
    keep_existing(description, overwrite=overwrite or description.is_file() or not is_there(description), cure=cure)


def _described(content: bytes, name: str) -> Description:
    try:
        return Description.model_validate_json(content)
    except ValidationError as error:
        raise ModelError(f"{name}: it is no description of a model ({error.error_count()} faults).") from error
