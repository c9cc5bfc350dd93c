"""Checkpoints are read as data: what would run code, or is not whole, is refused in one line that says so."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geoseg.errors import ModelError
from geoseg.io.weights.checkpoint_file import read_checkpoint


class Bomb:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def weights() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_tensors_come_back_with_the_files_digest(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    if kind == "safetensors":
        save_file(weights(), path)
    else:
        torch.save(weights(), path, _use_new_zipfile_serialization=kind == "zip")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    checkpoint = read_checkpoint(path, digest)
    assert checkpoint.sha256 == digest
    assert checkpoint.content.keys() == weights().keys()
    assert torch.equal(checkpoint.content["a.weight"], weights()["a.weight"])


def test_another_digest_is_refused(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "c.pth")
    with pytest.raises(ModelError, match="hash mismatch"):
        read_checkpoint(tmp_path / "c.pth", "0" * 64)


@pytest.mark.parametrize("place", ["state", "beside"])
@pytest.mark.parametrize("legacy", [False, True])
def test_code_is_neither_run_nor_read_past(place: str, legacy: bool, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content: dict[str, Any] = {"state_dict": weights()}
    content[place] = Bomb(trap)
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ModelError, match=r"c\.pth: refused: opening it would run code \((posix|nt)\.mkdir\)"
    ) as refusal:
        read_checkpoint(tmp_path / "c.pth")
    assert not trap.exists()
    assert "weights_only=False" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_bare_pickle_with_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "trap"), protocol=2))
    with pytest.raises(ModelError, match="refused|not a checkpoint"):
        read_checkpoint(tmp_path / "c.pkl")
    assert not (tmp_path / "trap").exists()


def test_a_whole_network_is_refused_with_its_class(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"would run code \(torch.nn.modules.linear.Linear\)"):
        read_checkpoint(tmp_path / "c.pth")


@pytest.mark.filterwarnings("ignore")
def test_archives_of_programs_are_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "script.pt")
    with pytest.raises(ModelError, match="a TorchScript archive, which holds code"):
        read_checkpoint(tmp_path / "script.pt")
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "program.pt2")
    with pytest.raises(ModelError, match="refused|no checkpoint"):
        read_checkpoint(tmp_path / "program.pt2")


@pytest.mark.parametrize("keep", [1, 7, 100, 0.5, 0.98])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_truncated_files_are_refused(kind: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    if kind == "safetensors":
        save_file(weights(), path)
    else:
        torch.save(weights(), path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ModelError, match=r"c\.pth: .*(damaged|broken|no checkpoint|not a checkpoint)"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"<!DOCTYPE html><html>", "a web page"), (b"hello, world, this is text", "no|not")],
)
def test_strangers_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(ModelError, match=words):
        read_checkpoint(tmp_path / "c.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path / "missing.pth")


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "c.pth")
    with pytest.raises(ModelError, match="holds a list, not a state dict"):
        read_checkpoint(tmp_path / "c.pth")


def test_plain_values_beside_the_tensors_are_told(tmp_path: Path) -> None:
    content = {
        "state_dict": weights(),
        "hyper_parameters": argparse.Namespace(model="unet", lr=0.1),
        "meta": {"CLASSES": ("a", "b"), "best": np.float64(0.7), "curve": np.arange(3.0)},
    }
    torch.save(content, tmp_path / "c.ckpt")
    metadata = read_checkpoint(tmp_path / "c.ckpt").metadata
    assert metadata["hyper_parameters"] == {"model": "unet", "lr": 0.1}
    assert list(metadata["meta"]["CLASSES"]) == ["a", "b"]


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_smp_is_read_with_its_config(file: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"_model_class": "Unet"}))
    with pytest.raises(ModelError, match="holds neither"):
        read_checkpoint(tmp_path)
    (save_file if file.endswith("safetensors") else torch.save)(weights(), tmp_path / file)
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.metadata["config"]["_model_class"] == "Unet"
    assert checkpoint.path.name == file
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ModelError, match=r"config\.json"):
        read_checkpoint(tmp_path)
