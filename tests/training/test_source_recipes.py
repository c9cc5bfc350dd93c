"""Shipped recipes of benchmarks run on samples in their layouts; real sets are trained on from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from geoseg.data.chips import ChipMaker
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.nn import build
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.training.losses import mixed_loss
from geoseg.training.recipe import Recipe, read_recipe
from geoseg.training.train import train

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_tiles"
DATA = ROOT.parent / "shared" / "data"
BENCHMARKS = sorted(
    path
    for path in (ROOT / "configs/train").glob("*.yaml")
    if path.stem.split("_")[0] in {"vaihingen", "potsdam", "deepglobe"}
)
SPLITS = {"vaihingen": {"by": "published", "complete": False}, "potsdam": {"by": "published", "complete": False}}
ON_REAL = {"solar": 8, "roads": 8, "forest": 4, "landcover_dubai": 5}
"""Recipes and how many files they hold out: a third."""


def _small(path: Path, **changes: Any) -> Recipe:
    """The recipe with small chips, on the samples."""
    document = yaml.safe_load(path.read_text())
    kind = document["sources"][0]["kind"]
    document["sources"][0]["split"] = SPLITS.get(kind, {"by": "names", "validate_on": ["855"]})
    document["chips"] |= {"size_px": 64, "batch": 2}
    return Recipe.model_validate(document | changes)


def _maker(recipe: Recipe, folder: Path) -> ChipMaker:
    scenes = [scene for source in recipe.sources for scene in read_source(source, "train", folder, recipe.legend)]
    normalisation = [band.mean for band in recipe.bands], [band.std for band in recipe.bands]
    return ChipMaker(scenes, recipe.chips, recipe.augment, normalisation, recipe.seed)


def test_there_is_a_recipe_for_each_benchmark_and_network() -> None:
    assert len(BENCHMARKS) == 12


@pytest.mark.parametrize(
    "path",
    [p if "unet" in p.stem else pytest.param(p, marks=pytest.mark.slow) for p in BENCHMARKS],
    ids=lambda p: p.stem,
)
def test_a_benchmarks_recipe_takes_a_step_on_samples(path: Path) -> None:
    recipe = _small(path)
    if recipe.architecture.name == "unet":  # the same network, narrower
        recipe = _small(path, architecture={"name": "unet", "options": {"width": 8, "depth": 4}})
    torch.manual_seed(0)
    network = build(recipe.architecture.name, len(recipe.bands), len(recipe.legend), **recipe.architecture.options)
    batch = _maker(recipe, SAMPLES).batch(0)
    assert (batch.class_indices != UNLABELLED).float().mean() > 0.4
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    network.train()
    logits, _ = forward_all(network, batch.inputs)
    assert logits.shape == (2, len(recipe.legend), 64, 64)
    loss = mixed_loss(logits, batch.class_indices, recipe.loss, ignore=UNLABELLED)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    assert 0.3 * np.log(len(recipe.legend)) < loss.item() < 4 * np.log(len(recipe.legend))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize("name", ON_REAL)
def test_a_recipe_on_real_files_holds_a_third_of_them_out(name: str) -> None:
    recipe = read_recipe(ROOT / f"configs/train/{name}.yaml")
    (source,) = recipe.sources
    learnt, held_out = (read_source(source, side, DATA, recipe.legend) for side in ("train", "validate"))
    assert len(held_out) == ON_REAL[name]
    assert 2 * len(held_out) <= len(learnt) + 2
    assert not {scene.name for scene in learnt} & {scene.name for scene in held_out}
    assert len({scene.scored_as for scene in held_out}) == 1
    batch = _maker(recipe, DATA).batch(0)
    assert (batch.class_indices != UNLABELLED).float().mean() > 0.5
    for channel in range(len(recipe.legend)):
        assert any((scene.class_indices == channel).any() for scene in held_out)


REAL: dict[str, dict[str, Any]] = {
    "banepa by blocks": {
        "kind": "georeferenced",
        "images": "banepa/banepa_train_rgb.tif",
        "labels": "banepa/banepa_train_buildings.gpkg",
        "split": {"by": "blocks", "block_px": 512},
        "guard_px": 64,
    },
    "kampala by rows": {
        "kind": "georeferenced",
        "images": "kampala/kampala_a_rgb.tif",
        "labels": "kampala/kampala_a_instances.tif",
        "codes": "nonzero",
        "split": {"by": "rows", "validate_on": [1280, 2048]},
    },
    "fields": {
        "kind": "georeferenced",
        "images": "geotiffs/s2_denmark_rgb_u16_utm32n.tif",
        "labels": "geotiffs/s2_denmark_fields.gpkg",
        "value_range": [0, 4000],
        "split": {"by": "rows", "validate_share": 0.25},
        "guard_px": 16,
    },
    "solar": {"kind": "folders", "folder": "gsi_solar", "gsd_m": 0.2, "split": {"by": "share"}},
    "roads": {"kind": "folders", "folder": "gsi_road", "gsd_m": 0.2, "split": {"by": "share"}},
    "forest": {"kind": "folders", "folder": "amazon_forest_s2", "gsd_m": 10, "split": {"by": "share"}},
    "dubai": {
        "kind": "folders",
        "folder": "dubai_hitl_from_figures",
        "classes": {"0": 1},
        "others": 0,
        "split": {"by": "share"},
    },
    "clouds of three satellites": {
        "kind": "folders",
        "folder": "csmask_multispectral",
        "gsd_m": 30,
        "bands": [3, 2, 1],
        "value_range": [0, 10000],
        "classes": {"4": 1},
        "others": 0,
        "split": {"by": "names", "validate_on": ["landsat7"]},
    },
    "membranes": {"kind": "isbi_membrane", "folder": "isbi_membrane"},
    "cracks": {"kind": "crackforest", "folder": "crackforest"},
    "drawings": {
        "kind": "bsds500",
        "folder": "bsds500",
        "split": {"by": "share"},
        "train_sets": ["test"],
        "validate_sets": [],
        "edge_share": 0.4,
    },
}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize("name", REAL)
def test_twenty_steps_on_a_real_set(name: str, tmp_path: Path) -> None:
    grey = name == "membranes"
    document = {
        "name": "real",
        "licence": "none",
        "architecture": {"name": "unet", "options": {"widths": [8, 16, 32]}},
        "bands": [{"name": band} for band in (("grey",) if grey else ("red", "green", "blue"))],
        "gsd_m": {"min": 0.01, "max": 100},
        "tile_px": 256,
        "halo_px": 32,
        "legend": {
            "classes": [
                {"code": 0, "name": "rest", "colour": "#000000"},
                {"code": 1, "name": "thing", "colour": "#ffffff"},
            ]
        },
        "sources": [{"name": name, "licence": "see the data", **REAL[name]}],
        "chips": {
            "size_px": 96,
            "batch": 6,
            "gsd_m": [1e-3, 1e3],
            "small": "pad",
            "balance": 0.3,
            "least_labelled": 0.1,
        },
        "schedule": {"steps": 20, "learning_rate": 0.01, "ema": 0.8, "save_every": 1000},
    }
    losses: list[float] = []
    _, card = train(Recipe.model_validate(document), DATA, tmp_path, report=lambda p: losses.append(p.loss))
    assert len(losses) == 20
    assert np.mean(losses[-5:]) < np.mean(losses[:3])
    assert len([score for score in card.scores if score.metric == "pixel accuracy"]) == 1
    assert card.trained_on[0].split
