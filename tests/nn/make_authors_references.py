"""Write tests/nn/references/authors: what the authors' own code answers with weights drawn from its tensors' names.

Not run by the tests. ``python tests/nn/make_authors_references.py FOLDER`` needs a folder of clones, each named
``owner+name`` after its repository on GitHub. A file holds the names and shapes of a network's tensors and its logits
for one drawn input at every fourth pixel; the weights are drawn again by the tests. No code of theirs is kept.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from published_weights import drawn, pixels
from torch import Tensor, nn
from torch.nn import functional

OUT = Path(__file__).parent / "references" / "authors"
CLASSES = 4
Forward = Callable[[nn.Module, Tensor], Tensor]


@contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Import from a clone, and forget its modules afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def _old_numpy() -> None:
    """Names that numpy had when the code was written."""
    for name, kind in (("int", int), ("float", float)):
        if name not in vars(np):
            setattr(np, name, kind)


class _Config(dict[str, Any]):
    __getattr__ = dict.__getitem__


def _hrnet_config(*, align_corners: bool) -> Any:
    def stage(block: str, *channels: int) -> _Config:
        blocks = [1] if block == "BOTTLENECK" else [2] * len(channels)
        return _Config(
            NUM_MODULES=1, NUM_BRANCHES=len(channels), BLOCK=block, NUM_BLOCKS=blocks, NUM_CHANNELS=list(channels),
            FUSE_METHOD="SUM",
        )  # fmt: skip

    extra = _Config(
        FINAL_CONV_KERNEL=1,
        STAGE1=stage("BOTTLENECK", 32),
        STAGE2=stage("BASIC", 16, 32),
        STAGE3=stage("BASIC", 16, 32, 64),
        STAGE4=stage("BASIC", 16, 32, 64, 128),
    )
    ocr = _Config(MID_CHANNELS=24, KEY_CHANNELS=12, DROPOUT=0.05, SCALE=1)
    model = _Config(EXTRA=extra, ALIGN_CORNERS=align_corners, OCR=ocr, PRETRAINED="", NUM_OUTPUTS=2)
    return SimpleNamespace(MODEL=model, DATASET=SimpleNamespace(NUM_CLASSES=CLASSES))


def _hrnet(clones: Path, file: str, *, align_corners: bool) -> tuple[nn.Module, Forward]:
    with _importing(clones / "HRNet+HRNet-Semantic-Segmentation" / "lib"):
        module = importlib.import_module(f"models.{file}")
    network = module.HighResolutionNet(_hrnet_config(align_corners=align_corners))

    def forward(network: nn.Module, x: Tensor) -> Tensor:
        answer = network(x)
        logits = answer[-1] if isinstance(answer, list) else answer
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=align_corners)

    return network, forward


def _call(network: nn.Module, x: Tensor) -> Tensor:
    answer = network(x)
    logits: Tensor = answer[0] if isinstance(answer, tuple | list) else answer
    return logits


def _unet(clones: Path, *, bilinear: bool) -> tuple[nn.Module, Forward]:
    with _importing(clones / "milesial+Pytorch-UNet" / "unet"):
        parts = importlib.import_module("unet_parts")
        source = (clones / "milesial+Pytorch-UNet" / "unet" / "unet_model.py").read_text()
    names: dict[str, Any] = dict(vars(parts))
    exec(source.replace("from .unet_parts import *", ""), names)  # noqa: S102 - the clone's own module
    return names["UNet"](3, CLASSES, bilinear=bilinear), _call


def _fcn(clones: Path, stride: int) -> tuple[nn.Module, Forward]:
    sys.modules["fcn"] = SimpleNamespace(data=None)  # type: ignore[assignment]
    with _importing(clones / "wkentaro+pytorch-fcn" / "torchfcn" / "models"):
        module = importlib.import_module(f"fcn{stride}s")
    return getattr(module, f"FCN{stride}s")(n_class=CLASSES), _call


NETWORKS: dict[str, tuple[str, Callable[[Path], tuple[nn.Module, Forward]]]] = {
    "hrnet": ("hrnet_w18s_v1", lambda clones: _hrnet(clones, "seg_hrnet", align_corners=False)),
    "hrnet_aligned": ("hrnet_w18s_v1", lambda clones: _hrnet(clones, "seg_hrnet", align_corners=True)),
    "hrnet_ocr_aligned": ("hrnet_ocr_w18", lambda clones: _hrnet(clones, "seg_hrnet_ocr", align_corners=True)),
    "milesial_unet": ("unet", lambda clones: _unet(clones, bilinear=False)),
    "milesial_unet_bilinear": ("unet", lambda clones: _unet(clones, bilinear=True)),
}
"""Name of the file to the network of ours and what builds the authors'."""
SIZES: dict[str, tuple[int, int]] = {}


def main(clones: Path, names: list[str]) -> None:
    """Write one file for each network."""
    warnings.simplefilter("ignore")
    _old_numpy()
    OUT.mkdir(parents=True, exist_ok=True)
    for name, (ours, build) in NETWORKS.items():
        if names and name not in names:
            continue
        network, forward = build(clones)
        network.eval()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(drawn(shapes))
        size = SIZES.get(name, (65, 97))
        with torch.inference_mode():
            logits = forward(network, pixels(*size)).numpy()
        keys = "\n".join(f"{key} {' '.join(map(str, shape))}".strip() for key, shape in shapes.items())
        np.savez_compressed(
            OUT / f"{name}.npz",
            network=np.array(ours),
            tensors=np.array(keys),
            size=np.array(size),
            logits=logits[..., ::4, ::4],
        )
        sys.stderr.write(f"{name} {len(shapes)} {logits.shape}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
