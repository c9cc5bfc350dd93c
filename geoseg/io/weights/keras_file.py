"""Weights of Keras in HDF5, as ``save_weights`` and ``save`` write them: arrays only, all inside of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from geoseg.errors import ModelError, SceneError, UsageError
from geoseg.io.containers.hdf5_links import HDF5_MAGIC, refuse_other_files

__all__ = ["HDF5_MAGIC", "read_keras_weights"]

_WHOLE_MODEL: Final = "model_weights"
_DEEPEST: Final = 8
_MOST: Final = 20_000
_CURE: Final = "Write it again with Keras's save_weights."


def read_keras_weights(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a file of Keras.

    Args:
        path: a file of ``save_weights`` or of ``save``; of the latter, only the weights are read.

    Returns:
        Arrays by ``LAYER/WEIGHT``: ``conv1/kernel``. A layer inside of a nested model has its own name.

    Raises:
        ModelError: the file is damaged, leads to other files, or holds other than plain arrays.
        UsageError: h5py is not installed.
    """
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(f"{path}: weights of Keras need h5py. Run pip install 'geoseg[keras]'.") from error
    try:
        refuse_other_files(str(path), path)
    except SceneError as error:
        raise ModelError(f"{path}: refused: {error.cause} {_CURE}") from error
    try:
        with h5py.File(path, "r") as file:
            root = file.get(_WHOLE_MODEL, file)
            if not isinstance(root, h5py.Group):
                raise ModelError(f"{path}: its {_WHOLE_MODEL} is no group. {_CURE}")
            weights: dict[str, np.ndarray] = {}
            for layer in root:
                for name, found in _weights(path, h5py, root, layer):
                    if name in weights:
                        raise ModelError(f"{path}: holds two weights {name}. {_CURE}")
                    weights[name] = found
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        if isinstance(error, ModelError):
            raise
        cause = " ".join(str(error).split())
        raise ModelError(f"{path}: a damaged HDF5 file ({cause}). Fetch it again.") from error
    if not weights:
        raise ModelError(f"{path}: holds no weights of Keras's layers. {_CURE}")
    return weights


def _weights(path: Path, h5py: Any, root: Any, layer: str) -> Iterator[tuple[str, np.ndarray]]:
    """Read the arrays of one group at the top; ``optimizer_weights`` of old files are none of the network."""
    if layer == "optimizer_weights":
        return
    places = list(_datasets(path, h5py, root, layer, _DEEPEST))
    owners = {place.split("/")[-2] if "/" in place else layer for place in places}
    leaves = [_bare(place.rpartition("/")[2]) for place in places]
    nested = len(owners) > 1 and len(set(leaves)) < len(leaves)
    for place, leaf in zip(places, leaves, strict=True):
        owner = place.split("/")[-2] if nested else layer
        yield f"{owner}/{leaf}", _array(path, h5py, root[place], place)


def _bare(leaf: str) -> str:
    """``kernel`` of ``kernel:0``."""
    return re.sub(r":\d+$", "", leaf)


def _datasets(path: Path, h5py: Any, group: Any, place: str, depth: int) -> Iterator[str]:
    found = _followed(path, h5py, group, place)
    if isinstance(found, h5py.Dataset):
        yield place
        return
    if not isinstance(found, h5py.Group) or depth == 0:
        raise ModelError(f"{path}: {place} is neither a group nor an array, or lies too deep. {_CURE}")
    if len(found) > _MOST:
        raise ModelError(f"{path}: {place} has more than {_MOST:,} members. {_CURE}")
    for name in found:
        yield from _datasets(path, h5py, group, f"{place}/{name}", depth - 1)


def _followed(path: Path, h5py: Any, group: Any, place: str) -> Any:
    if not isinstance(group.get(place, getlink=True), h5py.HardLink):
        raise ModelError(f"{path}: refused: {place} is a link to another place. {_CURE}")
    return group[place]


def _array(path: Path, h5py: Any, dataset: Any, place: str) -> np.ndarray:
    """Read one array, whose values all lie in the file: none is compressed or left out, so none grows in memory."""
    plain = dataset.dtype.kind in "fiu" and h5py.check_dtype(ref=dataset.dtype) is None
    stored = dataset.id.get_storage_size()
    if not plain or dataset.shape is None:
        raise ModelError(f"{path}: {place} is no array of numbers ({dataset.dtype}). {_CURE}")
    if dataset.id.get_create_plist().get_nfilters() or (dataset.size and stored < dataset.nbytes):
        raise ModelError(f"{path}: {place} is compressed, or its values are not all in the file. {_CURE}")
    values = np.asarray(dataset[()])
    return values.astype(values.dtype.newbyteorder("="))
