"""Model files: safetensors with the model's card in the header. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from geoseg.core.card import ModelCard, Quantisation
from geoseg.core.types.arrays import AnyArray
from geoseg.core.types.json_value import JsonDict, JsonObject
from geoseg.errors import ModelError
from geoseg.io.files.input_file import open_input, read_input
from geoseg.io.files.writing import whole_file

CARD_KEY: Final = "geoseg_card"
_MAX_HEADER_BYTES: Final = 100_000_000
_STRANGERS: Final = (
    (b"\x80", "a Python pickle, which can run code when opened"),
    (b"PK", "a zip archive (torch.save and torch.export write these), which can run code when opened"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
)
_CURE: Final = "Use a geoseg model file (.safetensors with a card), such as geoseg train writes."

Tensors = Mapping[str, AnyArray]

_QUANTISED_PREFIX: Final = "int8:"
_GRAPH, _CONSTANTS = f"{_QUANTISED_PREFIX}graph", f"{_QUANTISED_PREFIX}constants"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisedGraph:
    """A network in 8-bit integers, as OpenVINO's intermediate representation: tiles in, logits out.

    Attributes:
        graph: XML.
        constants: weights that the XML refers to.
    """

    graph: bytes
    constants: bytes

    @property
    def sha256(self) -> str:
        """Digest of both parts."""
        sizes = f"{len(self.graph)},{len(self.constants)}\0".encode()
        return hashlib.sha256(sizes + self.graph + self.constants).hexdigest()


def write_model(path: Path, tensors: Tensors, card: ModelCard, *, exact: bool = False) -> ModelCard:
    """Write weights and card as one safetensors file, atomically.

    Floating-point tensors are stored as float16 wherever that keeps their values to three digits, else as float32.

    Args:
        path: the file to write, usually ``NAME.safetensors``.
        tensors: weights by name.
        exact: store float32 as float32, so that outputs are unchanged.
        card: the model's card; its ``weights_sha256`` is filled in. Its ``int8`` is
            removed, since these weights have no quantised form yet; see ``write_quantised``.

    Returns:
        The card as stored.

    Raises:
        WriteError: the disk is full or fails.
        ModelError: a weight is NaN or infinite.
    """
    stored = {name: _stored(name, np.asarray(tensor), exact=exact) for name, tensor in sorted(tensors.items())}
    card = card.model_copy(update={"weights_sha256": weights_sha256(stored), "int8": None})
    _write(path, stored, card)
    return card


def write_quantised(path: Path, model: Path, int8: Quantisation, quantised: QuantisedGraph) -> ModelCard:
    """Write a model file with a quantised form of its network beside its weights, which stay as they are.

    Args:
        path: the file to write; may be ``model``.
        model: the model file.
        int8: description of the quantised form for the card.
        quantised: the network in 8-bit integers.

    Returns:
        The card as stored.

    Raises:
        WriteError: the disk is full or fails.
        ModelError: ``model`` is missing, of another kind or damaged.
    """
    stored, card = _tensors(model, None)
    card = card.model_copy(update={"int8": int8})
    form = {_GRAPH: quantised.graph, _CONSTANTS: quantised.constants}
    _write(path, stored | {name: np.frombuffer(content, np.uint8) for name, content in form.items()}, card)
    return card


def _write(path: Path, stored: Tensors, card: ModelCard) -> None:
    # one key only: safetensors writes several in the order of a hash table, and equal models must be equal files
    content = save(dict(stored), metadata={CARD_KEY: card.model_dump_json()})

    def readable(part: Path) -> None:
        if part.read_bytes() != content:
            raise OSError("the file reads back differently")

    with whole_file(path, verify=readable, size_bytes=len(content)) as part:
        part.write_bytes(content)


def read_model(path: Path, sha256: str | None = None) -> tuple[dict[str, AnyArray], ModelCard]:
    """Read weights and card; float16 becomes float32. A quantised network is left out.

    Args:
        path: a file that ``write_model`` wrote.
        sha256: required digest of the file.

    Raises:
        ModelError: the file is missing, of another kind, damaged, or of another digest.
    """
    stored, card = _tensors(path, sha256)
    stored = {name: array for name, array in stored.items() if not name.startswith(_QUANTISED_PREFIX)}
    if card.weights_sha256 and (found := weights_sha256(stored)) != card.weights_sha256:
        raise ModelError(
            f"{path}: hash mismatch: weights {found[:12]}… found, the card says {card.weights_sha256[:12]}…. "
            "Fetch or train it again."
        )
    return {name: _loaded(stored[name]) for name in sorted(stored)}, card


def read_quantised(path: Path, sha256: str | None = None) -> QuantisedGraph | None:
    """Read the network in 8-bit integers; None where the file has none.

    Args:
        path: a file that ``write_model`` wrote.
        sha256: required digest of the file.

    Raises:
        ModelError: the file is missing, of another kind, damaged, or of another digest.
    """
    stored, card = _tensors(path, sha256)
    if card.int8 is None:
        return None
    if not {_GRAPH, _CONSTANTS} <= stored.keys():
        raise ModelError(f"{path}: its card describes an int8 form, and the file has none. Quantise it again.")
    found = QuantisedGraph(graph=stored[_GRAPH].tobytes(), constants=stored[_CONSTANTS].tobytes())
    if found.sha256 != card.int8.sha256:
        raise ModelError(f"{path}: hash mismatch: its int8 form is not that of the card. Quantise it again.")
    return found


def _tensors(path: Path, sha256: str | None) -> tuple[dict[str, AnyArray], ModelCard]:
    content = _content(path)
    _digest(path, content, sha256)
    card = _card(path, _header(path, content))
    try:
        return load(content), card
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: broken safetensors file ({error}). Fetch it again.") from error


def checked_sha256(path: Path, sha256: str | None = None) -> str:
    """Hash a model file without taking it apart.

    Args:
        path: the file.
        sha256: digest that it must have; None: any.

    Raises:
        ModelError: the file is missing, of another kind, or has another digest.
    """
    return _digest(path, _content(path), sha256)


def read_card(path: Path) -> ModelCard:
    """Read only a model's card; the weights are neither read nor checked.

    Raises:
        ModelError: the file is missing, of another kind, or its card is broken.
    """
    try:
        with open_input(path) as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            head += file.read(length if length <= _MAX_HEADER_BYTES else 512)
    except OSError:
        head = b""
    content = head if len(head) > 8 + 2 else _content(path)  # which says what is wrong with it
    return _card(path, _header(path, content))


def weights_sha256(tensors: Tensors) -> str:
    """Hash weights independently of their file: name, dtype, shape and little-endian bytes, sorted by name."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name])
        total.update(f"{name}\0{tensor.dtype.name}\0{','.join(map(str, tensor.shape))}\0".encode())
        total.update(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes())
    return total.hexdigest()


def _stored(name: str, tensor: AnyArray, *, exact: bool) -> AnyArray:
    if not np.issubdtype(tensor.dtype, np.floating):
        return np.array(tensor, order="C")
    if not np.isfinite(tensor).all():
        raise ModelError(f"weight {name!r} holds NaN or infinity; the training diverged, nothing is written")
    if exact:
        return np.array(tensor, dtype=np.float32, order="C")
    size = np.abs(tensor[tensor != 0])
    holds = size.size == 0 or (size.max() < 65504 and np.median(size) > 2.0**-14 and tensor.ndim > 1)
    # running variances can lie below float16's normal range; vectors cost nothing, so they stay float32
    return np.array(tensor, dtype=np.float16 if holds else np.float32, order="C")


def _loaded(tensor: AnyArray) -> AnyArray:
    return tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor


def _digest(path: Path, content: bytes, expected: str | None) -> str:
    found = hashlib.sha256(content).hexdigest()
    if expected is not None and found != expected:
        raise ModelError(
            f"{path}: hash mismatch: sha256 {found[:12]}… found, {expected[:12]}… expected. Fetch it again."
        )
    return found


def _content(path: Path) -> bytes:
    try:
        content = read_input(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    if not content:
        raise ModelError(f"{path}: the file is empty (0 bytes). Fetch it again.")
    start = content[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(f"{path}: this is a web page, not a model: a download went wrong. Fetch it again.")
    for magic, kind in _STRANGERS:
        # the first eight bytes of safetensors are a header's length, whose third and later bytes are small
        if content.startswith(magic) and not content[8:9] == b"{":
            raise ModelError(f"{path}: refused: this is {kind}. {_CURE}")
    return content


def _header(path: Path, content: bytes) -> JsonDict:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 10 or length > min(_MAX_HEADER_BYTES, len(content) - 8):
        if content[8:9] == b"{" and length <= _MAX_HEADER_BYTES:
            raise ModelError(f"{path}: truncated: the file ends inside its header. Fetch it again.")
        raise ModelError(f"{path}: not a safetensors file, or one with a damaged header. {_CURE}")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a safetensors file: its header is not JSON. {_CURE}") from error
    if not isinstance(header, dict):
        raise ModelError(f"{path}: not a safetensors file: its header is not an object. {_CURE}")
    return header


def _card(path: Path, header: JsonObject) -> ModelCard:
    metadata = header.get("__metadata__")
    text = metadata.get(CARD_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelError(f"{path}: the file holds weights but no geoseg card. {_CURE}")
    return parsed_card(path, text, cure=_CURE)


def parsed_card(path: Path, text: str, *, cure: str) -> ModelCard:
    """Read a card from JSON.

    Args:
        path: path of the file, for the message.
        text: JSON.
        cure: advice for the user on an invalid card, one sentence.

    Raises:
        ModelError: it is not a valid card; the message names the first error and its place.
    """
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "card"
        raise ModelError(f"{path}: its card is not valid: {place}: {first['msg']}. {cure}") from error
