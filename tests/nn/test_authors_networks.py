"""Weights in the names of the authors' own code answer as that code does, at sizes that it takes as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_weights import drawn, pixels

from geoseg.nn.checkpoints import fit, strip_wrapper

AUTHORS = Path(__file__).parent / "references" / "authors"
VIT = {"vit": "test_vit"}
CHOSEN: dict[str, dict[str, Any]] = {
    "fudan_setr_naive": VIT,
    "fudan_setr_pup": VIT,
    "fudan_setr_mla": {**VIT, "depths": [1 / 6, 1 / 2, 2 / 3, 1.0]},
    "hrnet_aligned": {"align_corners": True},
    "hrnet_ocr_aligned": {"width": "w18_small_v1"},
    "kazuto_deeplabv2": {"backbone": "resnet50"},
    "guanfuchen_deeplab": {"backbone": "resnet50"},
    "guanfuchen_duc_hdc": {"backbone": "resnet50"},
    "semseg_psanet_compact": {"compact": True, "mask": [5, 7]},
    "semseg_psanet_distribute": {"direction": "distribute", "mask": [9, 13], "shrink": 1},
    "zijundeng_duc_hdc": {"backbone": "resnet50"},
    "zijundeng_duc": {"backbone": "resnet50", "third_rates": [2], "fourth_rates": [4]},
}
"""What no tensor tells: options that stand in the authors' own configuration, or make a small network."""


LOGARITHMS = {"torchseg_pspnet", "torchseg_psanet", "torchseg_bisenet", "torchseg_bisenet_x39"}
"""Networks that answer with logarithms of probabilities."""
QUICK = {
    "fudan_setr_naive",
    "fudan_setr_pup",
    "fudan_setr_mla",
    "hrnet",
    "hrnet_ocr_aligned",
    "milesial_unet",
    "nested_unet_supervised",
    "guanfuchen_segnet",
    "guanfuchen_fcn_r18_8s",
    "meetps_unet",
}


@pytest.mark.slow_after(5)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=[] if path.stem in QUICK else [pytest.mark.slow])
        for path in sorted(AUTHORS.glob("*.npz"))
    ],
)
def test_the_authors_weights_answer_as_in_their_code(name: str) -> None:
    with np.load(AUTHORS / f"{name}.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
        ours, size, expected = str(file["network"]), file["size"].tolist(), file["logits"]
    state = drawn({key: tuple(map(int, sides)) for key, *sides in lines})
    fitted = fit(ours, strip_wrapper(state), chosen=CHOSEN.get(name))
    with torch.inference_mode():
        answer = fitted.network(pixels(*size))
    logits = (answer.log_softmax(1) if name in LOGARITHMS else answer).numpy()[..., ::4, ::4]
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() <= 2e-5 * np.abs(expected).max()
