"""Initial weights of a network's encoder: a file pinned by digest in the recipe, or published weights by name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from geoseg.errors import ModelError
from geoseg.io.files.input_file import open_input
from geoseg.io.weights.checkpoint_file import read_checkpoint
from geoseg.models.named_weights import local_file, look_up
from geoseg.nn.checkpoints import strip_wrapper
from geoseg.nn.zoo.pretrained import find_encoder, load_encoder_weights


class EncoderWeights(BaseModel):
    """A pretrained encoder as a file pinned by digest.

    Attributes:
        name: data set of the pretraining.
        licence: licence of the weights.
        file: name of the file, for messages.
        sha256: digest of the file.
        get: instruction for getting the file, one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    get: str


class NamedEncoder(BaseModel):
    """A pretrained encoder that a library publishes; downloaded when the training begins.

    Attributes:
        name: ``timm:resnet50.a1_in1k``, ``torchvision:...`` or ``torchgeo:...``; see ``named_weights``.
        licence: licence of the weights.
        sha256: digest of the file, to verify it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^(timm|torchvision|torchgeo):\S+$")
    licence: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @property
    def file(self) -> str:
        """The name again, for messages."""
        return self.name

    @property
    def get(self) -> str:
        """Instruction for getting the file, one line."""
        return "a training that may fetch it, or the same file from elsewhere"

    def fetch(self) -> Path:
        """Return the file, downloaded if it is not cached yet.

        Raises:
            ModelError: there are no such weights, or they cannot be fetched.
        """
        return local_file(look_up(self.name))


def load_encoder(network: nn.Module, weights: EncoderWeights | NamedEncoder, path: Path) -> None:
    """Load a file of plain tensors into a network's encoder; see ``geoseg.nn.zoo.pretrained.load_encoder_weights``.

    Raises:
        ModelError: the file has another digest, or its tensors do not fit the encoder.
    """
    try:
        with open_input(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Get it with: {weights.get}") from error
    if weights.sha256 is not None and digest != weights.sha256:
        raise ModelError(f"{path}: not the {weights.file} that the recipe pins. Get it with: {weights.get}")
    encoder = find_encoder(network)
    if encoder is None:
        raise ModelError("encoder_weights: the recipe's network has no encoder; leave them out or use timm_unet")
    try:
        load_encoder_weights(encoder, strip_wrapper(read_checkpoint(path).content))
    except ModelError as error:
        raise ModelError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
