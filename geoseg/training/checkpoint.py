"""Checkpoints: written atomically, with plain tensors and numbers only, and bound to one recipe."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import OutputError
from geoseg.io.files.writing import library_writes, whole_file
from geoseg.training.recipe import Recipe, recipe_digest

KEY = "geoseg"
"""Key of geoseg's own state in a checkpoint."""


class WholeFiles(TorchCheckpointIO):  # type: ignore[misc]
    """Lightning plug-in that writes checkpoints atomically by ``whole_file``, so that a kill keeps the last one."""

    def save_checkpoint(self, checkpoint: UntypedDict, path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint."""
        del storage_options
        with whole_file(Path(path)) as part, library_writes():
            torch.save(checkpoint, part)


def read_checkpoint(path: Path, recipe: Recipe, started_from: str = "") -> UntypedDict:
    """Read a checkpoint of a run of this recipe.

    Args:
        path: the checkpoint.
        recipe: the recipe of the run.
        started_from: digest of the weights that the run starts from; empty: random ones, or an encoder's.

    Raises:
        OutputError: it cannot be resumed, or belongs to a run of another recipe or with another start.
    """
    refusal = OutputError(f"{path}: not a checkpoint that can be resumed. Remove it to start anew.")
    if not is_zipfile(path):  # torch would take anything else for its old format, and fail in many ways
        raise refusal
    try:
        state: UntypedDict = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, UnpicklingError, EOFError) as error:
        raise refusal from error
    if KEY not in state:
        raise refusal
    if state[KEY].get("recipe") != recipe_digest(recipe):
        raise OutputError(f"{path}: belongs to another recipe. Remove it or choose another --out.")
    if state[KEY].get("started_from", started_from) != started_from:
        raise OutputError(
            f"{path}: belongs to a run that started from other weights. Remove it or choose another --out."
        )
    return state
