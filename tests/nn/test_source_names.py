"""What a checkpoint lacks is told in the names of its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from geoseg.errors import ModelError
from geoseg.nn.checkpoints import fit
from geoseg.nn.checkpoints.layouts import LAYOUTS
from geoseg.nn.checkpoints.source_names import source_names
from geoseg.nn.zoo.registry import NETWORKS, options

FILES = sorted((Path(__file__).parent / "references").rglob("*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_name_of_a_source_is_found_back_from_ours(path: Path) -> None:
    with np.load(path) as file:
        names = [line.split()[0].removeprefix("base.") for line in str(file["tensors"]).splitlines()]
    layout = next(layout for layout in LAYOUTS if layout.fits(names))
    missing = names[3::9]
    present = [name for name in names if name not in missing]
    assert source_names(layout, [layout.target_name(name) for name in missing], present) == missing


def test_missing_tensors_have_the_sources_names() -> None:
    models = pytest.importorskip("torchvision").models.segmentation
    state = models.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5).state_dict()
    del state["classifier.cbr.0.weight"]
    state["classifier.more.weight"] = torch.zeros(3)
    with pytest.raises(ModelError, match=r"1 missing: classifier\.cbr\.0\.weight; 1 extra: classifier\.more\.weight"):
        fit("torchvision_lraspp_mobilenet_v3_large", state)


def test_a_network_without_a_layout_is_not_said_to_be_near_itself() -> None:
    with pytest.raises(ModelError, match="no layout of published weights is known for parsenet: nobody") as refusal:
        fit("parsenet", {"a.weight": torch.zeros(2)})
    assert "nearest" not in str(refusal.value)
    with pytest.raises(ModelError, match="network 'parsnet' is unknown; nearest: parsenet"):
        fit("parsnet", {"a.weight": torch.zeros(2)})


def test_a_light_weight_refinenet_is_not_called_a_refinenet_that_lacks_tensors() -> None:
    names = ("p_ims1d2_outl4_dimred.weight", "mflow_conv_g4_pool.0.1_outvar_dimred.weight", "clf_conv.weight")
    with pytest.raises(ModelError) as refusal:
        fit("refinenet_r101", {name: torch.zeros(4, 4, 1, 1) for name in names})
    assert "missing" not in str(refusal.value)


def test_names_of_one_network_take_the_same_checkpoints() -> None:
    """``hrnet`` and ``hrnet_w48`` build the same."""
    built = {
        name: (NETWORKS[name].family.builder, repr(sorted(options(name).items())))
        for name in NETWORKS
        if "_" in name or name == "hrnet"
    }
    for layout in LAYOUTS:
        for name, twin in ((a, b) for a in built for b in built if built[a] == built[b]):
            assert (name in layout.networks) == (twin in layout.networks), (layout.source, name, twin)
