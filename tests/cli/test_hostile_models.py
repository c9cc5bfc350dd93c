"""Files that are no model, damaged models and models of other versions: refused with 4 and the file's name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load, save
from safetensors.torch import save_file

from geoseg.errors import ModelError
from geoseg.io.weights.checkpoint_file import read_checkpoint
from geoseg.io.weights.ensemble_file import read_members
from geoseg.io.weights.model_file import CARD_KEY, read_card, read_model
from geoseg.models.import_model import import_model
from geoseg.models.network import load_network


def with_header(header: Any, tail: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tail


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
STRANGE = [
    b"\0",
    b"\xff" * 8,
    b"abcdefgh{" + b"x" * 50,
    b"\x80\x02}q\0.",
    b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f",  # a pickled string of 2^59 bytes
    b"PK\x05\x06" + bytes(18),
    (2**63).to_bytes(8, "little") + b"{}",
    (2**63).to_bytes(8, "little") + b"{" * 100,
    *map(with_header, ([], "x", 3, None, {"a": 3}, b"[" * 100_000, b"{\xff}")),
    *(
        with_header({"__metadata__": value})
        for value in (None, [], "geoseg_card", {CARD_KEY: 3}, {CARD_KEY: "[" * 9999})
    ),
    *(with_header({"a": TENSOR | change}) for change in ({"dtype": "F99"}, {"shape": [2**62, 2**62]}, {"shape": -1})),
]


def damaged(whole: bytes, seed: int) -> bytes:
    """A file with bytes changed, cut off or put in, mostly in its first part, where its structure is."""
    chance = random.Random(seed)  # noqa: S311 - damage, no secret
    content = bytearray(whole)
    for _ in range(chance.choice([1, 3, 30])):
        place = chance.randrange(min(len(content), chance.choice([16, 600, 10**6])))
        match chance.randrange(4):
            case 0 | 1:
                content[place] = chance.randrange(256)
            case 2:
                content[place:place] = chance.randbytes(chance.randrange(20))
            case _:
                content = content[: place + 1]
    return bytes(content)


@pytest.fixture(scope="module")
def files(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Whole files of every kind that is read."""
    folder = tmp_path_factory.mktemp("whole")
    state = {name: torch.from_numpy(array).float().clone() for name, array in read_model(tiny_model)[0].items()}
    save_file(state, folder / "plain.safetensors")
    torch.save({"state_dict": state, "meta": {"CLASSES": ("a", "b", "c")}}, folder / "a.pth")
    torch.save(state, folder / "b.pth", _use_new_zipfile_serialization=False)
    return [tiny_model.read_bytes(), *(path.read_bytes() for path in sorted(folder.iterdir()))]


def contents(files: list[bytes]) -> Iterator[bytes]:
    yield from STRANGE
    for seed in range(40):
        yield random.Random(seed).randbytes(seed * 7 + 1)  # noqa: S311 - same
        yield damaged(files[seed % len(files)], seed)


READERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": read_checkpoint,
    "model": read_model,
    "card": read_card,
    "network": load_network,
    "import": lambda path: import_model(path, "unet", path.with_name("out.safetensors"), overwrite=True),
    "ensemble": lambda path: read_members(str(path.rename(path.with_suffix(".json")))),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_no_bytes_are_a_bug(reader: str, suffix: str, files: list[bytes], tmp_path: Path) -> None:
    messages = []
    for content in contents(files):
        path = tmp_path / f"strange{suffix}"
        path.write_bytes(content)
        try:
            READERS[reader](path)
        except ModelError as error:
            messages.append(str(error))
        except MemoryError:
            pytest.fail("a file of a few bytes asked for all memory")
    assert len(messages) > len(STRANGE) // 2
    assert [text for text in messages if "strange" not in text] == []


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "nonet", "options": {}},
        {"name": "unet", "options": {"nope": 1}},
        {"name": "unet", "options": {"width": "wide"}},
        {"name": "unet", "options": {"width": -1}},
        {"name": "unet", "options": {"width": 6}},
        {"name": "timm_unet", "options": {"encoder": "nope"}},
    ],
)
def test_a_card_of_another_version_is_refused_with_the_file_s_name(
    architecture: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    tensors, card = load(tiny_model.read_bytes()), read_card(tiny_model).model_dump(mode="json")
    path = tmp_path / "other.safetensors"
    path.write_bytes(save(tensors, metadata={CARD_KEY: json.dumps(card | {"architecture": architecture})}))
    with pytest.raises(ModelError, match=r"other\.safetensors: ") as caught:
        load_network(path)
    assert architecture["name"] in str(caught.value)
