"""Clicks that held-out objects need: a model, the network before its training, and a rule without a network.

    python benchmarks/click_counts.py DATA [--model clicks] [--objects 12] [--most 20]

DATA is the folder of the recipe's sources. Objects are those of the validation sides of the recipe's sources, each in a
square of 400 px, clicked on at the middle of the largest error; an object that never gets there counts with the most.
The network before training has the weights of the model that training starts from, where they fit. The rule takes the
pixels nearer to a positive click than to a negative one, up to 20 pixels away.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from geoseg.core.card import ModelCard
from geoseg.data.labelled import read_source
from geoseg.interactive.clicks import Click
from geoseg.interactive.model import load_click_model
from geoseg.interactive.noc import count_clicks, simulate
from geoseg.interactive.predictor import PredictorSettings
from geoseg.interactive.simulate import Truth, next_click, overlap
from geoseg.interactive.zoom import zoom_for
from geoseg.models.network import load_network
from geoseg.nn import build
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.nn.zoo.pretrained import find_encoder, load_encoder_weights, load_fitting_tensors
from geoseg.training.clicks.validate import held_out_objects
from geoseg.training.recipe import read_recipe

RECIPE = Path(__file__).resolve().parents[1] / "configs" / "train" / "clicks.yaml"
START = "buildings-unet"
_IOUS = (0.8, 0.85, 0.9)
_NEAR_PX = 20


def held_out(data: Path, card: ModelCard, objects: int) -> Iterator[tuple[str, Tensor, Truth]]:
    """Draw objects of each source: name of the source, image, truth."""
    recipe = read_recipe(RECIPE)
    for source in recipe.sources:
        images = read_source(source, "validate", data, recipe.legend)
        share = max(1, objects // len(images))
        for seed, image in enumerate(images):
            for values, truth in held_out_objects(image, card, share, seed):
                yield image.scored_as, values, truth


def untrained(card: ModelCard) -> InteractiveNetwork:
    """Build the network of a card as its training begins: with the weights of another model where they fit."""
    torch.manual_seed(0)
    network = build(card.architecture.name, len(card.bands), len(card.legend), **card.architecture.options)
    start, _ = load_network(START)
    theirs, ours = find_encoder(start), find_encoder(network)
    if theirs is None or ours is None or not isinstance(network, InteractiveNetwork):
        raise SystemExit(f"{card.name}: this is no network whose encoder could begin as that of {START}")
    load_encoder_weights(ours, theirs.state_dict())
    load_fitting_tensors(network, start.state_dict())
    return network.eval()


def by_rule(truth: Truth, most: int) -> list[float]:
    """Return the overlap of the rule's answer after each click."""
    clicks: list[Click] = []
    answer = np.zeros(truth.shape, np.bool_)
    overlaps: list[float] = []
    while len(clicks) < most and (not overlaps or overlaps[-1] < max(_IOUS)):
        clicks.append(next_click(truth, answer, clicks))
        far = []
        for positive in (True, False):
            free = np.ones(truth.shape, np.bool_)
            for click in clicks:
                if click.positive == positive:
                    free[round(click.row), round(click.col)] = False
            far.append(ndimage.distance_transform_edt(free) if not free.all() else np.full(truth.shape, np.inf))
        answer = (far[0] < far[1]) & (far[0] <= _NEAR_PX)
        overlaps.append(overlap(truth, answer))
    return overlaps


def main() -> None:
    """Measure, and print one JSON object for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="clicks")
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--most", type=int, default=20)
    given = parser.parse_args()
    trained = load_click_model(given.model)
    before = untrained(trained.card)
    settings = PredictorSettings(method="plain", flip=False, zoom=zoom_for(trained.card.tile_px))
    found: dict[str, dict[str, list[list[float]]]] = {}
    with torch.inference_mode():
        for name, values, truth in held_out(given.data, trained.card, given.objects):
            rows = found.setdefault(name, {"trained": [], "before training": [], "rule": []})
            for kind, network in (("trained", trained.network), ("before training", before)):
                clicked = simulate(network, values, truth, settings, until=max(_IOUS), most=given.most)
                rows[kind].append(clicked.overlaps)
            rows["rule"].append(by_rule(truth, given.most))
    for name, rows in found.items():
        told = {}
        for kind, overlaps in rows.items():
            counts = {f"NoC@{100 * iou:.0f}": count_clicks(overlaps, iou, given.most) for iou in _IOUS}
            after = float(np.mean([one[min(2, len(one) - 1)] for one in overlaps]))
            told[kind] = {key: round(count.mean, 2) for key, count in counts.items()}
            told[kind] |= {f"never_{key[4:]}": count.failed for key, count in counts.items()}
            told[kind]["iou_after_3"] = round(after, 3)
        print(json.dumps({"on": name, "objects": len(rows["rule"])} | told), flush=True)


if __name__ == "__main__":
    main()
