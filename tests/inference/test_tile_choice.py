"""``--tile-px largest``: as large as memory allows, for networks that answer alike whatever the size of a tile."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import rasterio
import torch
from conftest import blobs
from torch import nn

from geoseg.core.card import Architecture
from geoseg.core.spec import PredictSpec
from geoseg.errors import UsageError
from geoseg.io.raster.scene import open_scene
from geoseg.io.weights.model_file import read_card
from geoseg.models.model import load_model
from geoseg.nn import build
from geoseg.nn.zoo.local import ACTIVATION_BYTES, activation_bytes
from geoseg.run.plan import identity, make_plan
from geoseg.run.predict import predict

LARGEST = PredictSpec(tile_px="largest", halo_px=32, block_px=64)


def remember(monkeypatch: pytest.MonkeyPatch, megapixels: float) -> None:
    """Give the machine the memory for tiles of so many megapixels of the tiny U-Net."""
    total = megapixels * 1e6 * ACTIVATION_BYTES["unet"] * 5
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=total))


def test_the_machine_s_memory_bounds_a_tile(
    write_scene: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []
    with open_scene(write_scene(blobs((640, 640)))) as scene:
        for megapixels in (0.001, 0.05, 0.15, 1):
            remember(monkeypatch, megapixels)
            plan = make_plan(scene, read_card(tiny_model), LARGEST)
            side = plan.tiling.tile_px
            sides.append(side)
            assert side == read_card(tiny_model).tile_px or side**2 <= megapixels * 1e6
            assert identity(scene, "digest", plan)["tile_px"] == side
    assert sides == sorted(set(sides))
    assert sides[-1] == 640


def test_a_run_computes_what_its_record_says_and_names_the_same_classes(
    write_scene: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remember(monkeypatch, 0.04)
    model = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    run, computed = model.runtime.run, []

    def counted(tiles: Any) -> Any:
        computed.append(tiles.shape[0] * tiles.shape[2] * tiles.shape[3])
        return run(tiles)

    monkeypatch.setattr(model.runtime, "run", counted)
    path = write_scene(blobs((320, 320)))
    classes = {}
    for name, spec in (("small", PredictSpec(tile_px=96, halo_px=32)), ("largest", LARGEST)):
        computed.clear()
        predict(path, model, tmp_path / name, spec=spec, name="scene")
        bundle = tmp_path / name / "scene"
        record = json.loads((bundle / "run.json").read_text())
        assert sum(computed) == pytest.approx(record["options"]["computed_share"] * 320 * 320, rel=1e-3)
        assert record["passes"][0]["computed_share"] == record["options"]["computed_share"]
        classes[name] = rasterio.open(bundle / "scene_classes.tif").read(1)
    assert record["options"]["computed_share"] < 1.5
    assert np.mean(classes["small"] == classes["largest"]) >= 0.9999


@pytest.mark.parametrize(
    ("network", "options"),
    [("pspnet_r50", {}), ("setr_pup_l", {}), ("timm_unet", {"encoder": "efficientnet_b0"}), ("own", {})],
)
def test_networks_that_depend_on_the_size_of_their_tiles_are_refused(
    write_scene: Any, tiny_model: Path, network: str, options: dict[str, Any]
) -> None:
    card = read_card(tiny_model).model_copy(update={"architecture": Architecture(name=network, options=options)})
    with (
        open_scene(write_scene(blobs((200, 200)))) as scene,
        pytest.raises(UsageError, match=f"--tile-px largest.*{network}"),
    ):
        make_plan(scene, card, LARGEST)


@pytest.mark.parametrize("name", ACTIVATION_BYTES)
def test_no_network_that_counts_as_local_pools_over_the_whole_tile(name: str) -> None:
    with torch.device("meta"):
        network = build(name, 3, 3)
    whole = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.GroupNorm, nn.InstanceNorm2d, nn.MultiheadAttention)
    found = [part for part, module in network.named_modules() if isinstance(module, whole)]
    named = [
        part
        for part, module in network.named_modules()
        if part.split(".")[-1] in {"se", "attn", "pos_embed"} and not isinstance(module, nn.Identity)
    ]
    assert not found
    assert not named


def test_squeeze_and_excitation_is_found_in_an_encoder() -> None:
    assert activation_bytes("timm_unet", {"encoder": "mobilenetv2_100"})
    assert activation_bytes("smp_unet", {"encoder": "resnet34"})
    assert activation_bytes("smp_unet", {"encoder": "resnet34", "decoder_attention_type": "scse"}) is None
    assert activation_bytes("smp_unet", {"encoder": "se_resnet50"}) is None
    assert activation_bytes("timm_unet", {"encoder": "resnetrs50"}) is None
    assert activation_bytes("unet", {"convolution": "valid"})
    assert activation_bytes("unet", {"convolution": "valid", "ragged": "stretch"}) is None
    assert activation_bytes("fcn8s", {"rise": "nearest"}) is None
