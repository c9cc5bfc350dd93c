"""A model file gives back what was written, and everything else is refused in its own words."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import ModelError, WriteError
from geoseg.io.weights.model_file import CARD_KEY, read_model, weights_sha256, write_model

CARD = ModelCard(
    name="toy",
    architecture=Architecture(name="unet", options={"width": 4}),
    bands=(CardBand(name="red"),),
    gsd_m=GsdRange(min=0.1, max=0.2),
    legend=Legend(classes=(LegendClass(code=0, name="other", colour="#000000"),)),
    licence="MIT",
)


def _tensors() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "b.weight": rng.normal(size=(3, 2, 3, 3)).astype(np.float32),
        "a.bias": rng.normal(size=3).astype(np.float32),
        "a.variance": np.array([1e-7, 1.0, 3.0], np.float32),
        "steps": np.array(41, np.int64),
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "toy.safetensors"
    write_model(path, _tensors(), CARD)
    return path


def test_weights_come_back_as_float32_and_the_card_unchanged(model: Path) -> None:
    tensors, card = read_model(model)
    assert card.model_copy(update={"weights_sha256": ""}) == CARD
    assert tensors.keys() == _tensors().keys()
    for name, expected in _tensors().items():
        assert tensors[name].dtype == expected.dtype
        assert tensors[name].shape == expected.shape
        np.testing.assert_allclose(tensors[name], expected, rtol=1e-3, atol=1e-7)


def test_kernels_are_stored_in_half_and_statistics_in_full(model: Path) -> None:
    with safe_open(model, "np") as file:
        assert file.get_tensor("b.weight").dtype == np.float16
        assert file.get_tensor("a.variance").dtype == np.float32
        assert file.get_tensor("steps").dtype == np.int64


def test_values_beyond_float16_survive(tmp_path: Path) -> None:
    wide = {"w": np.array([[1e6, 2.0], [-3.0, 1.0]], np.float32)}
    write_model(tmp_path / "w.safetensors", wide, CARD)
    np.testing.assert_array_equal(read_model(tmp_path / "w.safetensors")[0]["w"], wide["w"])


def test_writing_what_was_read_gives_the_same_file(model: Path, tmp_path: Path) -> None:
    tensors, card = read_model(model)
    write_model(tmp_path / "again.safetensors", tensors, card)
    assert (tmp_path / "again.safetensors").read_bytes() == model.read_bytes()


def test_the_digest_is_of_names_dtypes_shapes_and_bytes() -> None:
    tensors = {"b": np.array([[1, 2]], np.int16), "a": np.array([0.5], np.float32)}
    by_hand = b"a\0float32\x001\0" + struct.pack("<f", 0.5) + b"b\0int16\x001,2\0" + struct.pack("<2h", 1, 2)
    assert weights_sha256(tensors) == hashlib.sha256(by_hand).hexdigest()


def test_the_card_returned_names_the_stored_weights(tmp_path: Path) -> None:
    card = write_model(tmp_path / "m.safetensors", _tensors(), CARD)
    with safe_open(tmp_path / "m.safetensors", "np") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    assert card.weights_sha256 == weights_sha256(stored)


def test_weights_that_diverged_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'w' holds NaN"):
        write_model(tmp_path / "m.safetensors", {"w": np.array([np.nan], np.float32)}, CARD)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="nowhere"):
        write_model(tmp_path / "nowhere" / "m.safetensors", _tensors(), CARD)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.safetensors.*No such file"):
        read_model(tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match="directory"):
        read_model(tmp_path)


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def _header(length: int, rest: bytes = b"{}") -> bytes:
    return length.to_bytes(8, "little") + rest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"\n <!DOCTYPE html><html>404</html>", "web page"),
        (b"<html>login</html>", "web page"),
        (b"PK\x03\x04" + b"\0" * 60, "zip archive"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 60, "HDF5"),
        (_header(2**63), "header"),
        (_header(2**63 - 1, b"{" * 100), "header"),
        (_header(99_999_999, b'{"w"'), "truncated"),
        (_header(2, b"[]"), "not an object"),
        (_header(3, b"{]}"), "not JSON"),
        (b"abc", "not a safetensors"),
        (os.urandom(4) + b"\xff" * 400, "not a safetensors"),
    ],
)
def test_strangers_are_refused_in_their_own_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "stranger.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as refused:
        read_model(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(_Bomb(marker), protocol=protocol))
    with pytest.raises(ModelError, match="pickle"):
        read_model(path)
    assert not marker.exists()


def test_every_truncation_is_refused(model: Path) -> None:
    content = model.read_bytes()
    for size in [1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        model.write_bytes(content[:size])
        with pytest.raises(ModelError, match=r"toy\.safetensors"):
            read_model(model)


def test_a_header_of_any_promised_length_opens_whatever_its_first_bytes(tmp_path: Path) -> None:
    """A header of 0x4B50 bytes begins with the two letters of a zip archive, and is none."""
    length = int.from_bytes(b"PK", "little")
    plain = save({"w": np.zeros(1, np.float32)}, metadata={CARD_KEY: CARD.model_dump_json()})
    header = json.loads(plain[8 : 8 + int.from_bytes(plain[:8], "little")])
    text = json.dumps(header).encode()
    path = tmp_path / "pk.safetensors"
    path.write_bytes(_header(length, text + b" " * (length - len(text))) + b"\0" * 4)
    assert read_model(path)[1] == CARD


def test_a_flipped_bit_is_found_with_and_without_a_declared_digest(model: Path) -> None:
    content = bytearray(model.read_bytes())
    declared = hashlib.sha256(content).hexdigest()
    assert read_model(model, declared)[1].name == "toy"
    content[-5] ^= 1
    model.write_bytes(bytes(content))
    for sha256 in (declared, None):
        with pytest.raises(ModelError, match="hash mismatch"):
            read_model(model, sha256)


def test_weights_without_a_card_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    path.write_bytes(save({"w": np.zeros(3, np.float32)}))
    with pytest.raises(ModelError, match="no geoseg card"):
        read_model(path)


def test_a_card_with_faults_is_refused_with_the_place(tmp_path: Path) -> None:
    card = json.loads(CARD.model_dump_json()) | {"tile_px": "wide"}
    path = tmp_path / "bad.safetensors"
    path.write_bytes(save({"w": np.zeros(3, np.float32)}, metadata={CARD_KEY: json.dumps(card)}))
    with pytest.raises(ModelError, match="tile_px"):
        read_model(path)
