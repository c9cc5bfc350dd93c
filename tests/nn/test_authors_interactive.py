"""Weights in the names of f-BRS's own code answer clicks as that code does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published_weights import drawn, pixels

from geoseg.errors import ModelError
from geoseg.models.import_model import ImportRequest, import_model
from geoseg.models.network import load_network
from geoseg.nn.checkpoints import fit, strip_wrapper

REFERENCES = Path(__file__).parent / "interactive" / "references"
QUICK = {"fbrs_r34", "fbrs_hrnet18"}


def weights(name: str) -> dict[str, torch.Tensor]:
    with np.load(REFERENCES / f"{name}.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
    return drawn({key: tuple(map(int, sides)) for key, *sides in lines})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=[] if path.stem in QUICK else [pytest.mark.slow])
        for path in sorted(REFERENCES.glob("*.npz"))
    ],
)
def test_the_authors_weights_answer_as_in_their_code(name: str) -> None:
    with np.load(REFERENCES / f"{name}.npz") as file:
        size, clicks, expected = file["size"].tolist(), torch.from_numpy(file["clicks"]), file["logits"]
    fitted = fit(name, strip_wrapper(weights(name)))
    with torch.inference_mode():
        logits = fitted.network(pixels(*size), clicks).numpy()[..., ::4, ::4]
    assert fitted.classes == 2
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.slow
def test_a_checkpoint_of_the_authors_becomes_a_model_that_answers_clicks(tmp_path: Path) -> None:
    source = tmp_path / "resnet34_dh128_sbd.pth"
    torch.save(weights("fbrs_r34"), source)
    path, card = import_model(source, "fbrs_r34", tmp_path / "r34.safetensors")
    assert card.task == "interactive"
    assert card.legend.names == ("background", "object")
    assert card.band_names == ("red", "green", "blue")
    network, _ = load_network(path)
    x, clicks = pixels(40, 40), torch.tensor([[[20.0, 20.0], [3.0, 3.0]]])
    with torch.inference_mode():
        torch.testing.assert_close(network(x, clicks), fit("fbrs_r34", weights("fbrs_r34")).network(x, clicks))
    with pytest.raises(ModelError, match="--bands, not by --bgr"):
        import_model(source, "fbrs_r34", tmp_path / "bgr.safetensors", request=ImportRequest(bgr=True))
    with pytest.raises(ModelError, match="not a fcn_r50; import it as fbrs_r101, fbrs_r34"):
        import_model(source, "fcn_r50", tmp_path / "other.safetensors")
