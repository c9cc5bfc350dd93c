"""Weights of Keras are read as arrays by layer and weight; files that lead elsewhere or hold more are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoseg.errors import ModelError, UsageError
from geoseg.io.weights.checkpoint_file import read_checkpoint

h5py = pytest.importorskip("h5py")

KERNEL = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)


def _file(path: Path, fill: Callable[[Any], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def _plain(root: Any) -> None:
    root.create_dataset("conv1/conv1/kernel:0", data=KERNEL)
    root.create_dataset("conv1/conv1/bias:0", data=KERNEL[0, 0, 0])


def test_weights_have_the_names_of_their_layers(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        _plain(file)
        file.create_group("input_1")  # a layer without weights
        file["rpn_model/rpn_conv_shared/kernel:0"] = KERNEL
        file["rpn_model/rpn_class_raw/kernel:0"] = KERNEL + 1
        file["mrcnn_class_bn1/mrcnn_class_bn1/batch_normalization_7/gamma"] = KERNEL[0, 0, 0]  # Keras 3

    content = read_checkpoint(_file(tmp_path / "a.h5", fill)).content
    assert sorted(content) == [
        "conv1/bias",
        "conv1/kernel",
        "mrcnn_class_bn1/gamma",
        "rpn_class_raw/kernel",
        "rpn_conv_shared/kernel",
    ]
    np.testing.assert_array_equal(content["conv1/kernel"], KERNEL)
    np.testing.assert_array_equal(content["rpn_class_raw/kernel"], KERNEL + 1)


def test_a_whole_model_gives_its_weights_and_nothing_of_its_optimiser(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.attrs["model_config"] = '{"class_name": "Lambda", "code": "import os"}'
        _plain(file.create_group("model_weights"))
        file["optimizer_weights/conv1/kernel:0"] = KERNEL

    assert sorted(read_checkpoint(_file(tmp_path / "a.h5", fill)).content) == ["conv1/bias", "conv1/kernel"]


def test_optimiser_weights_beside_the_layers_are_left_out(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        _plain(file)
        file["optimizer_weights/conv1/kernel:0"] = KERNEL

    assert sorted(read_checkpoint(_file(tmp_path / "a.h5", fill)).content) == ["conv1/bias", "conv1/kernel"]


@pytest.mark.parametrize("kind", [">f4", "<f8", "<f2"])
def test_numbers_of_any_width_and_byte_order_keep_their_values(tmp_path: Path, kind: str) -> None:
    path = _file(tmp_path / "a.h5", lambda file: file.create_dataset("conv1/conv1/kernel:0", data=KERNEL.astype(kind)))
    np.testing.assert_array_equal(read_checkpoint(path).content["conv1/kernel"], KERNEL)


def _soft(file: Any) -> None:
    _plain(file)
    file["conv2/conv2"] = h5py.SoftLink("/conv1/conv1")


def _external(file: Any) -> None:
    _plain(file)
    file["conv2"] = h5py.ExternalLink("other.h5", "/")


def _external_storage(file: Any) -> None:
    file.create_dataset("conv1/kernel:0", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
    file.create_virtual_dataset("conv1/kernel:0", layout)


def _compressed(file: Any) -> None:
    file.create_dataset("conv1/kernel:0", data=np.zeros((1000, 1000), np.float32), compression="gzip")


def _unwritten(file: Any) -> None:
    file.create_dataset("conv1/kernel:0", (1 << 20, 1 << 20), "f4", chunks=(1, 1024))


def _text(file: Any) -> None:
    file["conv1/kernel:0"] = "import os"


def _reference(file: Any) -> None:
    _plain(file)
    file.create_dataset("conv2/kernel:0", data=file["conv1"].ref, dtype=h5py.ref_dtype)


def _twice(file: Any) -> None:
    file["conv1/a/kernel:0"] = KERNEL
    file["conv1/b/a/kernel:0"] = KERNEL


def _empty(file: Any) -> None:
    file.attrs["layer_names"] = [b"conv1"]


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (_soft, "conv2/conv2 is a link to another place"),
        (_external, "it has an external link, which leads to another file"),
        (_external_storage, "a dataset stored in external files"),
        (_virtual, "a virtual dataset"),
        (_compressed, "conv1/kernel:0 is compressed"),
        (_unwritten, "conv1/kernel:0 is compressed, or its values are not all in the file"),
        (_text, "conv1/kernel:0 is no array of numbers"),
        (_reference, "conv2/kernel:0 is no array of numbers"),
        (_twice, "holds two weights conv1/kernel"),
        (_empty, "holds no weights of Keras's layers"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_is_no_plain_array_inside_of_the_file_is_refused(
    tmp_path: Path, fill: Callable[[Any], object], said: str
) -> None:
    path = _file(tmp_path / "a.h5", fill)
    with pytest.raises(ModelError, match=said) as refusal:
        read_checkpoint(path)
    assert str(path) in str(refusal.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.h5", _plain)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ModelError, match=r"damaged"):
        read_checkpoint(path)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path / "a.h5", _plain)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"need h5py\. Run pip install 'geoseg\[keras\]'") as refusal:
        read_checkpoint(path)
    assert refusal.value.exit_code == 2
