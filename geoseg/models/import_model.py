"""Import of checkpoints of other projects as geoseg model files."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, UsageError
from geoseg.io.files.targets import keep_existing, keep_inputs
from geoseg.io.weights.checkpoint_file import Checkpoint, read_checkpoint
from geoseg.io.weights.model_file import write_model
from geoseg.models.imported_card import ImportRequest, imported_card
from geoseg.models.named_weights import NamedWeights, is_name, local_file, look_up
from geoseg.nn.checkpoints import Fitted, fit, network_of, strip_wrapper
from geoseg.nn.instance.contract import InstanceNetwork
from geoseg.nn.interactive.contract import InteractiveNetwork

__all__ = ["ImportRequest", "import_model"]


def import_model(
    source: str | Path,
    network: str | None = None,
    out: Path | None = None,
    *,
    file: Path | None = None,
    request: ImportRequest | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
) -> tuple[Path, ModelCard]:
    """Convert a checkpoint to a model file.

    Args:
        source: a file, a folder of smp's ``save_pretrained``, or the name of published weights (``torchgeo:...``).
        network: name in the registry; None: that named by the published weights, by smp's ``config.json`` or by the
            hyper-parameters of a torchgeo task.
        out: the file to write; ``NAME.safetensors`` here unless given.
        file: the file of published weights, which is not fetched then.
        request: fields for the card.
        sha256: required digest of the checkpoint.
        overwrite: True if a file may be replaced.

    Returns:
        The model file and its card.

    Raises:
        ModelError: the checkpoint is broken, holds code, is of another layout or does not fit the network.
        UsageError: the fields for the card do not fit the network, or nothing names the network.
        OutputError: the model file exists.
    """
    request = request or ImportRequest()
    named = look_up(str(source)) if is_name(str(source)) else None
    if file is not None and named is None:
        raise UsageError(
            f"{source}: --file is the file of published weights, and this is a file itself. Leave one out."
        )
    if network is None and named is not None:
        network = _published_network(named)
    path = file or (Path(source) if named is None else local_file(named))
    name = request.name or _slug(path.name if named is None else named.name.partition(":")[2])
    target = out or Path(f"{name}.safetensors")
    keep_inputs((path, path / "model.safetensors", path / "pytorch_model.bin"), target)
    keep_existing(target, overwrite=overwrite, cure="Pass another --out, or --overwrite.")
    checkpoint = read_checkpoint(path, sha256)
    try:
        network = network or _own_network(checkpoint)
        fitted = fit(
            network,
            strip_wrapper(checkpoint.content),
            chosen={**_meta_options(network, named), **request.options},
            metadata=checkpoint.metadata,
            bgr=request.bgr,
        )
    except ModelError as error:
        raise ModelError(f"{checkpoint.path}: {error}.") from error
    _try(checkpoint.path, fitted)
    card = imported_card(name, network, fitted, checkpoint, (request, named))
    tensors = {key: tensor.detach().contiguous().numpy() for key, tensor in fitted.network.state_dict().items()}
    return target, write_model(target, tensors, card, exact=True)


def _published_network(named: NamedWeights) -> str:
    if named.network:
        return named.network
    model = named.meta.get("model")
    raise ModelError(
        f"{named.name}: these are weights of {'an encoder' if model is None else f'the encoder {model}'}, not of a "
        "segmentation network. Name them as encoder_weights in a recipe, or pass --as for a network of their layout."
    )


def _own_network(checkpoint: Checkpoint) -> str:
    network = network_of(checkpoint.metadata)
    if network is None:
        raise UsageError(f"{checkpoint.path}: it does not name its network. Pass --as with a name of geoseg models.")
    return network


def _slug(text: str) -> str:
    stem = re.sub(r"\.(pth|pt|pkl|ckpt|bin|safetensors|tar|h5|hdf5)$", "", text.lower())
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "imported"


def _meta_options(network: str, named: NamedWeights | None) -> dict[str, object]:
    encoder = None if named is None else named.meta.get("encoder")
    return {"encoder": encoder} if encoder and network.startswith("smp_") else {}


def _try(path: Path, fitted: Fitted) -> None:
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).expand(1, fitted.bands, 64, 64)
    with torch.inference_mode():
        network = fitted.network
        if isinstance(network, InstanceNetwork):
            answers = network.nominal_pass(tile.contiguous())
        elif isinstance(network, InteractiveNetwork):
            answers = (network(tile.contiguous(), torch.tensor([[[32.0, 32.0], [8.0, 8.0]]])),)
        else:
            answers = (network(tile.contiguous()),)
    if not all(bool(torch.isfinite(answer).all()) for answer in answers):
        raise ModelError(f"{path}: the network answers NaN or infinity; its weights are broken. Fetch it again.")
