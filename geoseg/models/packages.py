"""Packages: a model's card with its network, which is read only when a runtime needs it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.digest import sha256_of_json
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.legend_presets import bit_colour
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import ModelError, UsageError
from geoseg.io.files.input_file import read_input
from geoseg.io.weights import model_file
from geoseg.io.weights.model_file import QuantisedGraph
from geoseg.models.bundled import resolve
from geoseg.models.onnx_answers import ACTIVATION_OPTION, activation, check_fits, probabilities
from geoseg.models.torch_package import TorchPackage
from geoseg.runtimes.onnx_graph import OnnxGraph
from geoseg.runtimes.runtime import PROBABILITIES, Answer, ModelPackage

if TYPE_CHECKING:
    from torch import nn

CARD_SUFFIX = ".card.json"
"""Suffix of the card next to an ONNX file: ``net.onnx`` has ``net.card.json``."""

_USUAL_BANDS = {1: ("pan",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "nir")}


class GeosegPackage(TorchPackage):
    """A geoseg model file.

    Args:
        path: the file.
        sha256: digest that it must have; None: any.

    Raises:
        ModelError: the file does not exist, is of another kind, or its card is broken.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self._path, self._sha256 = path, sha256
        self.card = model_file.read_card(path)

    @property
    def fingerprint(self) -> str | None:
        """See ``ModelPackage``.

        Raises:
            ModelError: the file is not the one that it should be.
        """
        return model_file.checked_sha256(self._path, self._sha256)

    def quantised(self) -> QuantisedGraph | None:
        """See ``ModelPackage``."""
        return model_file.read_quantised(self._path, self._sha256)

    def network(self) -> nn.Module:
        """See ``ModelPackage``."""
        from geoseg.models.network import load_weights  # noqa: PLC0415 - torch; a card is read without it

        return load_weights(self._path, *model_file.read_model(self._path, self._sha256))


class OnnxPackage:
    """An ONNX file whose card is inside it, next to it, or made from metadata of QGIS's Deepness.

    Args:
        path: the file.

    Raises:
        ModelError: the file does not exist, is no ONNX network, or has no card.
        UsageError: no library that reads ONNX is installed.
    """

    answers: tuple[str, ...] = (PROBABILITIES,)

    def __init__(self, path: Path) -> None:
        self.onnx: Path | None = path
        self._path = path
        try:
            content = read_input(path)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
        digest = hashlib.sha256(content).hexdigest()
        self.card = _onnx_card(path).model_copy(update={"weights_sha256": digest})
        self._activation = activation(path, self.card)

    @property
    def fingerprint(self) -> str | None:
        """See ``ModelPackage``; the digest of the file is in the card."""
        return sha256_of_json(self.card.model_dump(mode="json"))

    def check_graph(self, graph: OnnxGraph) -> None:
        """See ``ModelPackage``."""
        check_fits(self._path, graph, self.card)

    def named(self, outputs: Sequence[npt.NDArray[np.floating]]) -> Answer:
        """Convert the first output to probabilities; further ones are auxiliary."""
        return {PROBABILITIES: probabilities(outputs[0], self._activation, self.card.temperature)}

    def quantised(self) -> QuantisedGraph | None:
        """See ``ModelPackage``; None: an ONNX file holds one network, quantised or not."""
        return None

    def network(self) -> nn.Module:
        """Raise, since an ONNX file holds no torch network.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"{self._path}: an ONNX file can be run, not taken apart. Give the model that it was made of.")

    def answering_network(self) -> nn.Module:
        """Raise, like ``network``."""
        return self.network()


def open_package(name_or_path: str) -> ModelPackage:
    """Open a model by its bundled name or path.

    Raises:
        ModelError: it is unknown, missing or broken.
    """
    path, sha256 = resolve(name_or_path)
    return OnnxPackage(path) if path.suffix.lower() == ".onnx" else GeosegPackage(path, sha256)


def _onnx_card(path: Path) -> ModelCard:
    card_file = path.with_name(path.stem + CARD_SUFFIX)
    if card_file.is_file():
        return model_file.parsed_card(card_file, card_file.read_text("utf-8", "replace"), cure="Correct it.")
    metadata, graph = _metadata(path)
    if model_file.CARD_KEY in metadata:
        return model_file.parsed_card(path, metadata[model_file.CARD_KEY], cure="Export it again.")
    if "class_names" in metadata and "resolution" in metadata:
        return _of_deepness(path, metadata, graph)
    raise ModelError(
        f"{path}: nothing describes this network. "
        f"Put a card next to it, {card_file.name} (docs/checkpoints.md shows one)."
    )


def _metadata(path: Path) -> tuple[dict[str, str], OnnxGraph]:
    """Read the file's metadata and the shapes of its network."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise UsageError(f"{path}: ONNX files need onnxruntime. Run pip install 'geoseg[onnx]'.")
    from geoseg.runtimes.onnx_runtime import open_session, session_graph  # noqa: PLC0415 - an extra

    session = open_session(path, threads=1)
    return dict(session.get_modelmeta().custom_metadata_map), session_graph(path, session)


def _of_deepness(path: Path, metadata: dict[str, str], graph: OnnxGraph) -> ModelCard:
    """Make a card from the metadata that Deepness reads; values are JSON texts.

    Source:
        Deepness's documentation, *Add metadata to model*; ``resolution`` is in centimetres.
    """
    try:
        values: UntypedDict = {key: json.loads(text) for key, text in metadata.items() if key in _DEEPNESS}
        kind = str(values.get("model_type", "Segmentor")).capitalize()
        if kind != "Segmentor":
            raise ModelError(f"{path}: it is a {kind.lower()}, by its metadata; geoseg runs segmentation networks.")
        names = {int(code): str(name) for code, name in values["class_names"].items()}
        bands = graph.bands or 3
        gsd_m = float(values["resolution"]) / 100
        sizes = {"tiles_size": values.get("tile_size", 512), **values}
        side = graph.tile_px or int(sizes["tiles_size"])
        halo_px = int(side * float(values.get("tiles_overlap", 15)) / 100 / 2)
        channels = _USUAL_BANDS.get(bands, tuple(f"band_{number}" for number in range(1, bands + 1)))
        mean, std = (values.get(f"standardization_{key}", [usual] * bands) for key, usual in (("mean", 0), ("std", 1)))
        return ModelCard(
            name=re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "onnx",
            description="Described by the metadata of its ONNX file.",
            licence="unknown; ask the source of the network",
            architecture=Architecture(name="onnx", options={ACTIVATION_OPTION: _activation(path, graph, side, bands)}),
            bands=tuple(CardBand(name=n, mean=m, std=s) for n, m, s in zip(channels, mean, std, strict=True)),
            gsd_m=GsdRange(min=gsd_m, max=gsd_m),
            tile_px=side,
            halo_px=min(halo_px, (side - 1) // 2),
            legend=Legend(
                classes=tuple(
                    LegendClass(code=code, name=name, colour=bit_colour(code)) for code, name in sorted(names.items())
                )
            ),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: its metadata for Deepness cannot be understood ({type(error).__name__}: {error}). "
            "Put a card next to it."
        ) from error


def _activation(path: Path, graph: OnnxGraph, side: int, bands: int) -> str:
    """Detect from one tile if the output is probabilities or logits, which the metadata do not contain."""
    from geoseg.runtimes.onnx_runtime import open_session  # noqa: PLC0415 - an extra

    session = open_session(path, threads=1)
    tile = np.random.default_rng(0).random((1, bands, side, side), np.float32)
    answer = session.run(None, {session.get_inputs()[0].name: tile})[0]
    bounded = float(answer.min()) >= 0 and float(answer.max()) <= 1
    if answer.shape[1] == 1:
        return "positive" if bounded else "sigmoid"
    return "probabilities" if bounded and np.allclose(answer.sum(axis=1), 1, atol=1e-3) else "logits"


_DEEPNESS = frozenset(
    {"class_names", "resolution", "standardization_mean", "standardization_std", "tiles_overlap", "tiles_size"}
    | {"tile_size", "model_type"}
)
