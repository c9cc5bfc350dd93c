"""Quantisation of a trained network to 8-bit integers, accepted only where its maps stay what they were."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard, Quantisation
from geoseg.errors import ModelError, UsageError
from geoseg.io.weights.model_file import QuantisedGraph, write_quantised
from geoseg.models.network import load_network
from geoseg.models.softmax_head import SoftmaxHead
from geoseg.runtimes.openvino_runtime import OpenvinoRuntime, openvino_module, quantised_model, telemetry_blocked
from geoseg.runtimes.runtime import Answer, RuntimeInfo
from geoseg.training.quantisation.parts import Parts
from geoseg.training.score import confusion, headline

MIN_AGREEMENT = 0.99
"""Smallest share of pixels that must keep their class."""
MAX_LOSS = 0.005
"""Largest fall of the score."""
CALIBRATION_TILES = 48
"""Number of tiles that the ranges of values are taken from."""

_CROP_PX = 512
_TRACED_PX = 256
_FLOAT32, _INT8 = "fp32", "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Comparison of a quantised network with the network in float32.

    Attributes:
        agreement: share of the valid pixels that get the same class.
        score_fp32, score_int8: IoU of a single foreground class, or the mean over classes; NaN without labels.
    """

    agreement: float
    score_fp32: float
    score_int8: float

    @property
    def loss(self) -> float:
        """Fall of the score; 0 where there are no labels."""
        return 0.0 if np.isnan(self.score_fp32) else self.score_fp32 - self.score_int8

    @property
    def passed(self) -> bool:
        """True where agreement and score are within their limits."""
        return self.agreement >= MIN_AGREEMENT and self.loss <= MAX_LOSS

    def description(self, quantised: QuantisedGraph, card: ModelCard, on: str, *, preferred: bool) -> Quantisation:
        """Describe the quantised network for the card."""
        labelled = not np.isnan(self.score_fp32)
        metric = f"IoU {card.legend.names[1]}" if len(card.legend) == 2 else "mean IoU"
        return Quantisation(
            on=on,
            agreement=round(self.agreement, 6),
            metric=metric if labelled else "",
            score_fp32=round(self.score_fp32, 4) if labelled else None,
            score_int8=round(self.score_int8, 4) if labelled else None,
            preferred=preferred,
            sha256=quantised.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseData:
    """Pixels for a quantisation.

    Attributes:
        calibration: pixels that the ranges of values are taken from, such as those of the training.
        held_out: other pixels, which both forms are compared on.
        on: name of ``held_out`` for the card.
    """

    calibration: Parts
    held_out: Parts
    on: str


def quantise_file(model: Path, data: QuantiseData, out: Path, *, preferred: bool = True) -> ModelCard:
    """Quantise the network of a model file and write the model again with both forms.

    Weights and activations of convolutions become 8-bit integers. Symmetric ranges are tried first, then asymmetric
    ones for the activations, which are slower and closer.

    Args:
        model: a model file of task ``semantic``.
        data: pixels.
        out: the file to write.
        preferred: True if ``--precision auto`` shall take the quantised form.

    Returns:
        The card as written.

    Raises:
        ModelError: the file is broken or does not fit its card, or the quantised network loses more than ``MAX_LOSS``
            of its score or keeps the class of less than ``MIN_AGREEMENT`` of the pixels; nothing is written.
        UsageError: a library is missing, the model is of another task, or there are no valid pixels.
        WriteError: the disk is full or fails.

    Source:
        Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference;
        post-training quantisation of NNCF.
    """
    for library, extra in (("openvino", "openvino"), ("nncf", "quantise")):
        if importlib.util.find_spec(library) is None:
            raise UsageError(f"geoseg models quantise: {library} is not installed. Run pip install 'geoseg[{extra}]'.")
    network, card = load_network(model)
    if card.task != "semantic":
        raise UsageError(f"{model}: its task is {card.task}; networks of task semantic can be quantised.")
    crops, float32 = _crops(data.calibration, card), _converted(network, card)
    tried: list[Comparison] = []
    for preset in ("performance", "mixed"):
        quantised = _quantised(float32, crops, preset)
        compared = compare(network, quantised, data.held_out, card)
        if compared.passed:
            int8 = compared.description(quantised, card, data.on, preferred=preferred)
            return write_quantised(out, model, int8, quantised)
        tried.append(compared)
    best = max(tried, key=lambda one: one.agreement)
    raise ModelError(
        f"{model}: not quantised: {best.agreement:.2%} of the pixels keep their class ({MIN_AGREEMENT:.0%} needed), "
        f"and the score falls by {best.loss:.4f} ({MAX_LOSS:g} is allowed). Give more images, or run it in bf16."
    )


def compare(network: nn.Module, quantised: QuantisedGraph, held_out: Parts, card: ModelCard) -> Comparison:
    """Compare a quantised network with the network in float32.

    Args:
        network: returns logits (tile, class, y, x); in evaluation mode.
        quantised: the network in 8-bit integers.
        held_out: pixels; those without a label count for the agreement only.
        card: bands, tile, halo and legend.

    Raises:
        UsageError: no pixel is valid.
    """
    classes = len(card.legend)
    counts = np.zeros((2, classes, classes), np.int64)
    equal = pixels = 0
    for part in held_out(_SideBySide(network, quantised, card), card):
        first, second = (part.answer[name].argmax(0).astype(np.uint8) for name in (_FLOAT32, _INT8))
        equal += int(np.count_nonzero((first == second) & part.valid))
        pixels += int(np.count_nonzero(part.valid))
        counts += [confusion(part.class_indices, found, classes) for found in (first, second)]
    if not pixels:
        raise UsageError(f"{card.name}: nothing to compare on. Give larger scenes, or rows to validate on.")
    before, after = (headline(matrix) if matrix.any() else float("nan") for matrix in counts)
    return Comparison(agreement=equal / pixels, score_fp32=before, score_int8=after)


class _SideBySide:
    """Runtime that answers with both forms of a network."""

    batch = 1

    def __init__(self, network: nn.Module, quantised: QuantisedGraph, card: ModelCard) -> None:
        self._network = SoftmaxHead(network, card.temperature).eval()
        self._int8 = OpenvinoRuntime(
            lambda shape: quantised_model(quantised, card, shape),
            lambda outputs: {_INT8: outputs[0]},
            precision="int8/fp32",
        )
        self.info = self._int8.info

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """See ``geoseg.runtimes.runtime.Runtime``."""
        with torch.inference_mode():
            float32 = self._network(torch.from_numpy(tiles)).numpy()
        return {_FLOAT32: float32, **self._int8.run(tiles)}


class _Recorder:
    """Runtime that answers nothing and keeps ``CALIBRATION_TILES`` of the tiles that it is given, each as likely.

    Source:
        Vitter 1985, Random Sampling with a Reservoir, algorithm R.
    """

    batch = 1
    info = RuntimeInfo(name="recorder", device="cpu", precision="fp32", version="1")

    def __init__(self) -> None:
        self.tiles: list[npt.NDArray[np.float32]] = []
        self._given, self._random = 0, np.random.default_rng(0)

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """See ``geoseg.runtimes.runtime.Runtime``."""
        self._given += 1
        if len(self.tiles) < CALIBRATION_TILES:
            self.tiles.append(tiles.copy())
        elif (place := int(self._random.integers(self._given))) < CALIBRATION_TILES:
            self.tiles[place] = tiles.copy()
        return {}


def _crops(calibration: Parts, card: ModelCard) -> list[npt.NDArray[np.float32]]:
    """Cut inputs of the network (1, band, y, x): at most ``CALIBRATION_TILES``, drawn from all."""
    recorder = _Recorder()
    for _ in calibration(recorder, card.model_copy(update={"tile_px": _CROP_PX, "halo_px": 0})):
        pass
    if not recorder.tiles:
        raise UsageError(f"{card.name}: no pixels to take the ranges of values from. Give larger scenes, or a recipe.")
    return recorder.tiles


def _converted(network: nn.Module, card: ModelCard) -> object:
    """Convert a network to OpenVINO's model for tiles of any size."""
    bands = len(card.bands)
    example = torch.zeros(1, bands, _TRACED_PX, _TRACED_PX)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of branches on the shape
        traced = torch.jit.trace(network.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        converted: object = openvino_module().convert_model(traced, example_input=example, input=[1, bands, -1, -1])
    return converted


def _quantised(float32: object, crops: Sequence[npt.NDArray[np.float32]], preset: str) -> QuantisedGraph:
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns of a missing compiler for CUDA
    with telemetry_blocked():
        import nncf  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    logging.getLogger("nncf").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):  # its progress bars
        made = nncf.quantize(
            float32, nncf.Dataset(crops), preset=nncf.QuantizationPreset(preset), subset_size=len(crops)
        )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.xml"
        openvino_module().save_model(made, path, compress_to_fp16=False)
        return QuantisedGraph(graph=path.read_bytes(), constants=path.with_suffix(".bin").read_bytes())
