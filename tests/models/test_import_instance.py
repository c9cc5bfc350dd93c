"""An imported network for objects is one in its card."""

from __future__ import annotations

from pathlib import Path

import torch

from geoseg.models.import_model import ImportRequest, import_model
from geoseg.nn import build


def test_the_card_of_an_imported_yolact_says_that_it_answers_with_objects(tmp_path: Path) -> None:
    network = build("yolact_r50", 3, 2)
    state = network.state_dict()
    theirs = {}
    for key, tensor in state.items():
        name = key.removeprefix("body.").replace("backbone.layer", "backbone.layers.")
        if name.startswith("backbone.layers."):
            stage, _, rest = name.removeprefix("backbone.layers.").partition(".")
            name = f"backbone.layers.{int(stage) - 1}.{rest}"
        for ours, authors in (
            *((f"pyramid.lateral.{i}.", f"fpn.lat_layers.{2 - i}.") for i in range(3)),
            *((f"pyramid.smooth.{i}.0.", f"fpn.pred_layers.{2 - i}.") for i in range(3)),
            ("pyramid.halve.", "fpn.downsample_layers."),
            ("prototypes.9.", "proto_net.10."),
            ("prototypes.7.", "proto_net.8."),
            ("prototypes.", "proto_net."),
            ("head.trunk.0.", "prediction_layers.0.upfeature.0."),
            ("head.offsets.", "prediction_layers.0.bbox_layer."),
            ("head.logits.", "prediction_layers.0.conf_layer."),
            ("head.coefficients.", "prediction_layers.0.mask_layer."),
            ("semantic.", "semantic_seg_conv."),
        ):
            if name.startswith(ours):
                name = authors + name.removeprefix(ours)
                break
        theirs[name] = tensor
    torch.save(theirs, tmp_path / "yolact.pth")
    path, card = import_model(
        tmp_path / "yolact.pth",
        "yolact_r50",
        tmp_path / "roofs.safetensors",
        request=ImportRequest(bands=("red", "green", "blue")),
    )
    assert card.task == "instance"
    assert card.architecture.name == "yolact_r50"
    assert len(card.legend) == 2
    assert path.stat().st_size > 100e6
