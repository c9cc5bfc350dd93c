"""Export of a model's network as ONNX, OpenVINO or TorchScript, for other programs."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, UsageError
from geoseg.io.files.targets import keep_existing, keep_inputs
from geoseg.io.files.writing import all_or_none, library_writes, whole_file
from geoseg.models.bundled import resolve
from geoseg.models.network import load_network
from geoseg.models.onnx_answers import ACTIVATION_OPTION
from geoseg.runtimes.openvino_runtime import openvino_core, openvino_module

Format = Literal["onnx", "openvino", "torchscript"]
SUFFIXES = MappingProxyType({"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"})
CARD_KEY = "geoseg_card"
PROBABILITIES = "probabilities"
_TOLERANCE = 1e-3
_MULTIPLE_PX = 32


def export_model(
    model: str,
    to: Format,
    out: Path,
    *,
    tile_px: int | None = None,
    any_size: bool = False,
    probabilities: bool = False,
    overwrite: bool = False,
) -> float:
    """Export a model's network and compare its output with the original.

    The exported network maps ``tiles``, (1, band, tile_px, tile_px) float32, to ``logits``, (1, class, tile_px,
    tile_px). Bands are scaled by the card, which is written into the file under ``geoseg_card``.

    Args:
        model: name of a bundled model, or a model file.
        to: ``onnx``, ``openvino`` (``.xml`` and ``.bin``) or ``torchscript``.
        out: the file.
        tile_px: side of the tiles; the card's unless given.
        any_size: ONNX only: accept tiles whose sides are any multiples of 32 px, instead of squares of ``tile_px``.
        probabilities: ONNX only: the network maps values from 0 to 1 (those of 8-bit pictures divided by 255) to
            ``probabilities``, as GeoDeep and Deepness expect. The card in the file says so.
        overwrite: True if a file may be replaced.

    Returns:
        Largest difference of the output on one tile, as a share of the largest logit or probability.

    Raises:
        ModelError: the model cannot be loaded or exported, or the outputs of the exported network differ.
        UsageError: the format is unknown, its library is missing, or the file has another suffix.
        OutputError: the file exists.
    """
    if to not in SUFFIXES:
        raise UsageError(f"--to {to}: unknown. Pass {', '.join(SUFFIXES)}.")
    if out.suffix != SUFFIXES[to]:
        raise UsageError(f"{out}: a file of {to} is written, whose name ends in {SUFFIXES[to]}. Give one.")
    keep_inputs((resolve(model)[0],), out, out.with_suffix(".bin"))
    keep_existing(out, overwrite=overwrite, cure="Pass another file, or --overwrite.")
    for option, chosen in (("--any-size", any_size), ("--probabilities", probabilities)):
        if chosen and to != "onnx":
            raise UsageError(f"{option}: of ONNX files only, not of {to}. Leave it out.")
    network, card = load_network(model)
    if card.task != "semantic":
        raise UsageError(f"{model}: its task is {card.task}, and only networks that map classes are exported.")
    if probabilities:
        network, card = _WithProbabilities(network, card).eval(), _of_probabilities(card)
    side = tile_px or card.tile_px
    if 2 * card.halo_px >= side:
        raise UsageError(
            f"--tile-px {side}: the model's halo of {card.halo_px} px on each side leaves nothing of a tile."
        )
    card = card if any_size else card.model_copy(update={"tile_px": side})
    tile = torch.from_numpy(np.random.default_rng(0).standard_normal((1, len(card.bands), side, side), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / out.name
        exporter = partial(to_onnx, any_size=True) if any_size else _EXPORTERS[to]
        answer = exporter(network, tile, made, card)
        with torch.inference_mode():
            expected = network(tile).numpy()
        apart = float(np.abs(answer - expected).max() / max(np.abs(expected).max(), 1e-6))
        if not apart <= _TOLERANCE:
            raise ModelError(f"{model}: as {to} it answers otherwise (by {apart:.2%} of its largest answer).")
        parts = sorted(Path(folder).iterdir(), key=lambda path: path.name == out.name)
        with all_or_none(out.with_name(part.name) for part in parts):
            for part in parts:
                with whole_file(out.with_name(part.name), size_bytes=part.stat().st_size) as target:
                    shutil.copyfile(part, target)
    return apart


class _WithProbabilities(nn.Module):
    """A network between values from 0 to 1 and probabilities: it scales bands and takes the softmax by itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.network, self.temperature = network, card.temperature
        self.register_buffer("mean", torch.tensor([band.mean for band in card.bands])[:, None, None])
        self.register_buffer("std", torch.tensor([band.std for band in card.bands])[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network((x - self.mean) / self.std)
        return (logits / self.temperature).softmax(1)


def _of_probabilities(card: ModelCard) -> ModelCard:
    """Describe the network that scales bands and takes the softmax by itself."""
    options = dict(card.architecture.options) | {ACTIVATION_OPTION: PROBABILITIES}
    changes = {
        "architecture": card.architecture.model_copy(update={"options": options}),
        "bands": tuple(band.model_copy(update={"mean": 0.0, "std": 1.0}) for band in card.bands),
        "temperature": 1.0,
    }
    return card.model_copy(update=changes)


def to_onnx(
    network: nn.Module, tile: Tensor, path: Path, card: ModelCard | None = None, *, any_size: bool = False
) -> npt.NDArray[np.float32]:
    """Export to ONNX and run it with ONNX Runtime.

    The file contains the card and the metadata that QGIS's Deepness reads.

    Args:
        network: returns logits (tile, class, y, x), or probabilities if the card says so.
        tile: (1, band, y, x) example input.
        path: the file to write.
        card: written into the file; None: no metadata.
        any_size: accept tiles whose sides are any multiples of 32 px.

    Returns:
        Output of the exported network for ``tile``.

    Raises:
        UsageError: a library is not installed.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
        import onnxscript  # noqa: F401, PLC0415 - torch's exporter needs it
    except ImportError as error:
        raise UsageError("--to onnx: not installed. Run pip install 'geoseg[onnx]'.") from error
    output = _output_of(card)
    rows, cols = Dim("rows", min=2, max=1024), Dim("cols", min=2, max=1024)
    sizes = ({2: _MULTIPLE_PX * rows, 3: _MULTIPLE_PX * cols},) if any_size else None
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter's own
        program: Any = torch.onnx.export(
            network,
            (_multiple(tile) if any_size else tile,),
            input_names=["tiles"],
            output_names=[output],
            dynamo=True,
            dynamic_shapes=sizes,
            verbose=False,
        )
    if card is not None:
        program.model.metadata_props.update({CARD_KEY: card.model_dump_json()} | _deepness_metadata(card, tile))
    with library_writes():
        program.save(path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    answer: npt.NDArray[np.float32] = session.run([output], {"tiles": tile.numpy()})[0]
    return answer


def _output_of(card: ModelCard | None) -> str:
    """Name the output of a network: ``logits``, or ``probabilities``."""
    return "logits" if card is None else str(card.architecture.options.get(ACTIVATION_OPTION, "logits"))


def _multiple(tile: Tensor) -> Tensor:
    """Crop a tile to sides that are multiples and differ, since equal ones would be exported as one dimension."""
    rows = max(2 * _MULTIPLE_PX, tile.shape[2] // _MULTIPLE_PX * _MULTIPLE_PX)
    return torch.zeros(1, tile.shape[1], rows, rows + _MULTIPLE_PX)


def _deepness_metadata(card: ModelCard, tile: Tensor) -> dict[str, str]:
    """Describe a network by the keys that Deepness reads; values are JSON texts.

    Source:
        Deepness's documentation, *Add metadata to model*: resolution in centimetres, overlap in percent.
    """
    side = int(tile.shape[-1])
    values: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": {str(channel): name for channel, name in enumerate(card.legend.names)},
        "resolution": round(100 * math.sqrt(card.gsd_m.min * card.gsd_m.max), 3),
        "tiles_size": side,
        "tiles_overlap": min(90, math.ceil(100 * 2 * card.halo_px / side)),
        "standardization_mean": [band.mean for band in card.bands],
        "standardization_std": [band.std for band in card.bands],
    }
    if _output_of(card) == PROBABILITIES:  # nothing is dropped: neither what is unsure nor what is small
        values |= {"seg_thresh": 0.0, "seg_small_segment": 0}
    return {key: json.dumps(value) for key, value in values.items()}


def to_openvino(network: nn.Module, tile: Tensor, path: Path, card: ModelCard | None = None) -> npt.NDArray[np.float32]:
    """Export to OpenVINO's two files and run them.

    Args:
        network: returns logits (tile, class, y, x).
        tile: (1, band, y, x) example input.
        path: the ``.xml`` file to write; ``.bin`` is written next to it.
        card: written into the file; None: no metadata.

    Returns:
        Output of the exported network for ``tile``.

    Raises:
        UsageError: OpenVINO is not installed.
    """
    try:
        openvino: Any = openvino_module()
    except ImportError as error:
        raise UsageError("--to openvino: not installed. Run pip install 'geoseg[openvino]'.") from error
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(network, example_input=tile, input=[list(tile.shape)])
    converted.inputs[0].get_tensor().set_names({"tiles"})
    converted.outputs[0].get_tensor().set_names({"logits"})
    if card is not None:
        converted.set_rt_info(card.model_dump_json(), [CARD_KEY])
    with library_writes():
        openvino.save_model(converted, path, compress_to_fp16=False)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    answer: npt.NDArray[np.float32] = openvino_core().compile_model(path, "CPU", settings)(tile.numpy())["logits"]
    return answer


def to_torchscript(
    network: nn.Module, tile: Tensor, path: Path, card: ModelCard | None = None
) -> npt.NDArray[np.float32]:
    """Trace to TorchScript and run it.

    Args:
        network: returns logits (tile, class, y, x).
        tile: (1, band, y, x) example input.
        path: the file to write.
        card: written into the file; None: no metadata.

    Returns:
        Output of the exported network for ``tile``.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # branches on the shape are fixed here; torch calls the format old
        traced: object = torch.jit.trace(network, tile, check_trace=False)  # type: ignore[no-untyped-call]
        files = {} if card is None else {f"{CARD_KEY}.json": card.model_dump_json()}
        with library_writes():
            torch.jit.save(traced, path, _extra_files=files)
        again: Any = torch.jit.load(path)  # type: ignore[no-untyped-call]
        answer: npt.NDArray[np.float32] = again(tile).numpy()
    return answer


Exporter = Callable[[nn.Module, Tensor, Path, ModelCard | None], npt.NDArray[np.float32]]
_EXPORTERS: MappingProxyType[str, Exporter] = MappingProxyType(
    {"onnx": to_onnx, "openvino": to_openvino, "torchscript": to_torchscript}
)
