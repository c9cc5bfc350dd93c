"""Make the network of a comparison once: weights for all programs, a model file, and its form in 8-bit integers.

    python prepare.py --scene SCENE.tif --classes 2 --tile-px 512 --overlap-px 64 --folder DIR

Nothing is trained. The weights are random from a seed, BatchNorm's statistics come from crops of the scene, and the
last layer is the least-squares fit to classes of blurred brightness, so that the labels are patches and not noise. What
a stage of the decoder takes from deeper stages is damped, so that an answer depends on near surroundings, as it does in
trained networks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window
from smp_network import ENCODER, unet
from torch import nn
from torch.nn import functional

import geoseg

_CROPS, _CROP_PX, _BLUR_PX, _RIDGE, _SHARPNESS, _DAMPING = 12, 512, 9, 1e-3, 8.0, 0.2
_COLOURS = ("#c8b48c", "#d7301f", "#238b45", "#2171b5", "#fed976", "#6a51a3", "#737373", "#dd1c77")


def crops(scene: Path) -> torch.Tensor:
    """Cut crops at random places: (crop, band, y, x) float32 in [0, 1]."""
    random = np.random.default_rng(0)
    with rasterio.open(scene) as source:
        side = min(_CROP_PX, source.height, source.width)
        corners = [
            (int(random.integers(source.width - side + 1)), int(random.integers(source.height - side + 1)))
            for _ in range(_CROPS)
        ]
        found = [source.read([1, 2, 3], window=Window(x, y, side, side)) for x, y in corners]
    return torch.from_numpy(np.stack(found)).float() / 255


def calibrated(classes: int, pixels: torch.Tensor) -> nn.Module:
    """Build the network with seeded weights, statistics of the pixels and a fitted last layer."""
    torch.manual_seed(0)
    network = unet(classes)
    for block in network.decoder.blocks[:-1]:  # the last one has no other input
        weights = block.conv1[0].weight  # its first inputs are the deeper stage, twice as many as it answers
        weights.data[:, : 2 * weights.shape[0]] *= _DAMPING
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    features: list[torch.Tensor] = []
    with torch.no_grad():
        network.train()
        for batch in pixels.split(4):
            network(batch)
        network.eval()
        hook = network.decoder.register_forward_hook(lambda _module, _inputs, output: features.append(output))
        for batch in pixels.split(4):
            network(batch)
        hook.remove()
        _fit(network.segmentation_head[0], torch.cat(features), pixels, classes)
    for norm in norms:
        norm.momentum = 0.1
    return network


def _fit(head: nn.Conv2d, features: torch.Tensor, pixels: torch.Tensor, classes: int) -> None:
    """Fit a convolution from features to classes of equal frequency of the blurred brightness."""
    brightness = functional.avg_pool2d(
        pixels.mean(1, keepdim=True), _BLUR_PX, 1, _BLUR_PX // 2, count_include_pad=False
    )
    limits = torch.quantile(brightness.flatten()[::97], torch.arange(1, classes) / classes)
    labels = torch.bucketize(brightness.flatten(1), limits)
    rows, answers = [], []
    for feature, label in zip(features, labels, strict=True):
        near = functional.unfold(feature[None], head.kernel_size, padding=head.padding)[0].T[::53]
        rows.append(torch.cat([near, torch.ones(len(near), 1)], 1).double())
        answers.append(functional.one_hot(label[::53], classes).double())
    x, y = torch.cat(rows), torch.cat(answers)
    ridge = _RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    fitted = torch.linalg.solve(x.T @ x + ridge, x.T @ y) * _SHARPNESS
    head.weight.copy_(fitted[:-1].T.reshape(head.weight.shape))
    head.bias.copy_(fitted[-1])


def card(classes: int, tile_px: int, halo_px: int) -> geoseg.ModelCard:
    """Describe the network to geoseg: pixels divided by 255, at any pixel size of aerial imagery."""
    return geoseg.ModelCard(
        name="peers",
        architecture=geoseg.Architecture(name="smp_unet", options={"encoder": ENCODER}),
        bands=[geoseg.CardBand(name=name, mean=0.0, std=1.0) for name in ("red", "green", "blue")],
        gsd_m=geoseg.GsdRange(min=0.01, max=10),
        tile_px=tile_px,
        halo_px=halo_px,
        legend=geoseg.Legend(
            classes=[
                geoseg.LegendClass(code=code, name=f"class {code}", colour=_COLOURS[code]) for code in range(classes)
            ]
        ),
        licence="CC0-1.0",
    )


def quantised(model: Path, scene: Path, out: Path) -> dict[str, object]:
    """Write the model with a form in 8-bit integers, also where geoseg would refuse it; say which."""
    if importlib.util.find_spec("nncf") is None:
        return {"skipped": "nncf is not installed: pip install 'geoseg[quantise]'"}
    from geoseg.training.quantisation import quantise
    from geoseg.training.quantisation.parts import of_scenes

    data = quantise.QuantiseData(
        calibration=of_scenes([scene], upper=True), held_out=of_scenes([scene], upper=False), on=scene.name
    )
    accepted_from = quantise.MIN_AGREEMENT
    quantise.MIN_AGREEMENT, quantise.MAX_LOSS = 0.0, 1.0  # written whatever it loses: speed is measured here
    made = quantise.quantise_file(model, data, out, preferred=False)
    return {"agreement": made.int8.agreement, "accepted": made.int8.agreement >= accepted_from}


def main() -> None:
    """Write ``weights.pt``, ``model.safetensors``, ``int8.safetensors`` and ``prepared.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--tile-px", type=int, required=True)
    parser.add_argument("--overlap-px", type=int, required=True)
    parser.add_argument("--no-int8", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    weights, model, int8 = (options.folder / name for name in ("weights.pt", "model.safetensors", "int8.safetensors"))
    for path in (weights, model, int8):
        path.unlink(missing_ok=True)
    network = calibrated(options.classes, crops(options.scene))
    torch.save(network.state_dict(), weights)
    geoseg.save_model(network, model, card(options.classes, options.tile_px, options.overlap_px // 2))
    prepared = {"int8": {"skipped": "--no-int8"} if options.no_int8 else quantised(model, options.scene, int8)}
    (options.folder / "prepared.json").write_text(json.dumps(prepared))
    print(json.dumps(prepared))


if __name__ == "__main__":
    main()
