"""Reading of checkpoints of other projects: tensors and plain values only; files that would run code are refused."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from geoseg.core.types.json_value import JsonObject, UntypedDict, UntypedMapping
from geoseg.errors import ModelError
from geoseg.io.files.input_file import open_input, read_input
from geoseg.io.weights import restricted_pickle
from geoseg.io.weights.keras_file import HDF5_MAGIC, read_keras_weights
from geoseg.io.weights.model_file import CARD_KEY
from geoseg.io.weights.restricted_pickle import RefusedGlobalError, StandIn

_FOLDER_FILES: Final = ("model.safetensors", "pytorch_model.bin")
_PARSING: Final = (
    SafetensorError,  # torch takes a file for what its suffix says
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Errors that the parsers of pickles and archives raise for invalid bytes."""
_DEEPEST: Final = 4
_CURE: Final = "Ask its author for a plain state dict or safetensors."


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Content of a checkpoint.

    Attributes:
        path: path of the file with the tensors.
        sha256: digest of that file.
        content: a state dict, or a trainer's wrapper of one.
        metadata: plain values next to the tensors: ``config`` of smp's folder, ``hyper_parameters``, ``meta``.
    """

    path: Path
    sha256: str
    content: UntypedMapping
    metadata: JsonObject


def read_checkpoint(path: Path, sha256: str | None = None) -> Checkpoint:
    """Read a checkpoint: safetensors, ``torch.save``, a pickle of arrays, HDF5 of Keras, ``save_pretrained``'s folder.

    Args:
        path: path of the file or folder.
        sha256: required digest of the file.

    Raises:
        ModelError: the file is missing, empty, damaged, of another digest, or holds code.
        UsageError: it is a file of Keras, and h5py is not installed.
    """
    metadata: UntypedDict = {}
    if path.is_dir():
        metadata["config"] = _config(path / "config.json")
        file = next((path / name for name in _FOLDER_FILES if (path / name).exists()), None)
        if file is None:
            raise ModelError(f"{path}: the folder holds neither {' nor '.join(_FOLDER_FILES)}.")
        path = file
    found = _digest(path)
    if sha256 is not None and found != sha256.lower():
        raise ModelError(f"{path}: hash mismatch: sha256 {found[:12]}… found, {sha256[:12]}… expected. Fetch it again.")
    with open_input(path) as stream:
        start = stream.read(512)
    if start[8:9] == b"{":
        return Checkpoint(path=path, sha256=found, content=_safetensors(path), metadata=metadata)
    if start.startswith(HDF5_MAGIC):
        return Checkpoint(path=path, sha256=found, content=read_keras_weights(path), metadata=metadata)
    _refuse_strangers(path, start)
    content = _unpickled(path)
    metadata |= {key: content[key] for key in ("hyper_parameters", "meta") if key in content}
    if isinstance(metadata.get("hyper_parameters"), argparse.Namespace):
        metadata["hyper_parameters"] = vars(metadata["hyper_parameters"])
    return Checkpoint(path=path, sha256=found, content=content, metadata=metadata)


def _digest(path: Path) -> str:
    try:
        with open_input(path) as stream:
            if not stream.read(1):
                raise ModelError(f"{path}: the file is empty (0 bytes). Fetch it again.")
            stream.seek(0)
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error


def _config(path: Path) -> dict[str, object]:
    try:
        config = json.loads(read_input(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as smp's config.json ({error}).") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: not an object, as smp's config.json is.")
    return config


def _safetensors(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        if CARD_KEY in (header.get("__metadata__") or {}):
            raise ModelError(f"{path}: is a geoseg model file already. Use it with --model {path}.")
        return dict(load(content))
    except (SafetensorError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: broken or truncated safetensors file ({error}). Fetch it again.") from error


def _refuse_strangers(path: Path, start: bytes) -> None:
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(f"{path}: this is a web page, not a checkpoint: a download went wrong. Fetch it again.")
    if not start.startswith(b"PK"):
        with suppress(tarfile.TarError, *_PARSING), tarfile.open(path, "r:"):
            raise ModelError(f"{path}: refused: a tar archive, as torch wrote before 0.1.10. {_CURE}")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, *_PARSING) as error:
        raise ModelError(f"{path}: truncated or damaged ({error}). Fetch it again.") from error
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise ModelError(f"{path}: refused: a TorchScript archive, which holds code. {_CURE}")
    if any(name.endswith("archive_format") for name in names):
        raise ModelError(f"{path}: refused: an archive of torch.export, which holds a program. {_CURE}")


def _unpickled(path: Path) -> dict[str, object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, that this reader is not its own restricted one
            content = _plain_pickle(path) or torch.load(
                path, map_location="cpu", pickle_module=restricted_pickle, weights_only=False
            )
    except RefusedGlobalError as error:
        raise ModelError(
            f"{path}: refused: opening it would run code ({error.name}), not only read tensors. {_CURE}"
        ) from error
    except UnpicklingError as error:
        raise ModelError(f"{path}: not a checkpoint, or a damaged one. Fetch it again. {_CURE}") from error
    except _PARSING as error:
        raise ModelError(f"{path}: truncated, damaged or no checkpoint at all. Fetch it again.") from error
    whole = _whole_object(content)
    if whole is not None:
        raise ModelError(
            f"{path}: refused: it holds a whole object, and opening that would run code ({whole}), not only read "
            f"tensors. {_CURE}"
        )
    if not isinstance(content, Mapping):
        raise ModelError(f"{path}: holds a {type(content).__name__}, not a state dict. {_CURE}")
    return {str(key): value for key, value in content.items()}


def _torch_file(path: Path) -> object:
    return torch.load(path, map_location="cpu", pickle_module=restricted_pickle, weights_only=False)


def _plain_pickle(path: Path) -> Mapping[object, object] | None:
    """Read a pickle of a mapping, as detectron2 publishes weights; None for a file of ``torch.save``."""
    with open_input(path) as stream:
        if stream.read(1) != pickle.PROTO:
            return None
        stream.seek(0)
        first = restricted_pickle.load(stream, encoding="latin1")  # torch's begins with a number
    return first if isinstance(first, Mapping) else None


def _whole_object(content: object) -> str | None:
    """Return the class name of an object stored instead of a state dict; None if there are tensors."""
    if _holds_tensors(content, _DEEPEST):
        return None
    places = (content, *(content.values() if isinstance(content, Mapping) else ()))
    return next((place.source for place in places if isinstance(place, StandIn)), None)


def _holds_tensors(value: object, depth: int) -> bool:
    """Return True if a mapping, down to a depth, has a tensor among its values; a stand-in only as a state dict."""
    if not isinstance(value, Mapping) or depth == 0:
        return False
    inner = list(value.values())
    deeper = not isinstance(value, StandIn) and any(_holds_tensors(one, depth - 1) for one in inner)
    return any(isinstance(one, torch.Tensor) for one in inner) or deeper
