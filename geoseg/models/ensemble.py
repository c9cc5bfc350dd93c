"""Ensembles: several networks with one legend, whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from geoseg.core.card import Architecture, CardBand, ModelCard, TrainingSource
from geoseg.core.digest import sha256_of_json
from geoseg.core.legend import Legend
from geoseg.errors import ModelError, UsageError
from geoseg.io.weights.ensemble_file import is_ensemble_file, read_members
from geoseg.models.bundled import resolve
from geoseg.models.packages import open_package
from geoseg.models.panoptic_pair import is_pair, pair_card


def checked_weights(names: Sequence[str], weights: Sequence[float]) -> tuple[float, ...]:
    """Check the weights of an ensemble; without weights all are equal.

    Args:
        names: names of the models.
        weights: one per model, or empty.

    Raises:
        UsageError: the numbers of weights and models differ, or a weight is not positive.
    """
    if not weights:
        return (1.0,) * len(names)
    if len(weights) != len(names):
        raise UsageError(f"--weights: {len(weights)} weights for {len(names)} models. Give one each.")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise UsageError(f"--weights: {', '.join(f'{w:g}' for w in weights)}: each must be a number above 0.")
    return tuple(weights)


def check_legends(cards: Sequence[ModelCard]) -> None:
    """Check that the models have the same classes and codes in the same order; colours may differ.

    Raises:
        ModelError: two legends differ; the message names the models and the difference.
    """
    first = cards[0]
    for other in cards[1:]:
        if first.task != other.task or first.task == "panoptic":
            raise ModelError(
                f"{first.name} (task {first.task}) and {other.name} (task {other.task}) cannot be averaged. Give "
                "models of task semantic, or one semantic and one instance model for a panoptic map."
            )
        if _meaning(first.legend) != _meaning(other.legend):
            raise ModelError(
                f"{first.name} and {other.name} cannot be averaged: their legends are {_listed(first.legend)} and "
                f"{_listed(other.legend)}. Choose models of one legend."
            )


def _meaning(legend: Legend) -> tuple[object, ...]:
    return (*zip(legend.codes, legend.names, strict=True), legend.nodata)


def _listed(legend: Legend) -> str:
    classes = ", ".join(f"{entry.code} {entry.name}" for entry in legend.classes)
    return f"({classes}; nodata {legend.nodata})"


def card_of(name_or_path: str) -> ModelCard:
    """Read the card of a model without its weights; for an ensemble file, the combined card of its members.

    Raises:
        ModelError: a model does not exist, a card is broken, or the legends differ.
    """
    cards = [(open_package(name).card, share) for name, share in read_members(name_or_path)]
    if is_pair([card for card, _ in cards]):
        things, stuff = sorted((card for card, _ in cards), key=lambda card: card.task)
        return pair_card(ensemble_card(cards), stuff, things)
    check_legends([card for card, _ in cards])
    return cards[0][0] if len(cards) == 1 else ensemble_card(cards)


def file_of(name_or_path: str) -> Path | None:
    """Find the file of a model; None for an ensemble, which has several.

    Raises:
        ModelError: the name is unknown.
    """
    return None if is_ensemble_file(name_or_path) else resolve(name_or_path)[0]


def ensemble_card(members: Sequence[tuple[ModelCard, float]]) -> ModelCard:
    """Describe an ensemble as one model.

    Args:
        members: cards and weights, in the order of averaging.

    Returns:
        A card with all bands, the whole range of ground sample distances, every licence (as an SPDX expression) and
        all training data; tile, halo and colours are the first's, ``min_area_m2`` is the least of all. Each network
        keeps the temperature of its own card. The digest of the weights covers all members' digests and weights.
    """
    cards = [card for card, _ in members]
    bands: dict[str, CardBand] = {}
    for band in (band for card in cards for band in card.bands):
        bands.setdefault(band.name, band)
    names = " + ".join(f"{card.name} ({share:.2g})" for card, share in members)
    learnt: dict[TrainingSource, None] = dict.fromkeys(source for card in cards for source in card.trained_on)
    parts = [[card.weights_sha256, card.temperature, share] for card, share in members]
    architectures = [card.architecture.name for card in cards]
    return cards[0].model_copy(
        update={
            "name": f"ensemble-of-{len(cards)}",
            "version": "1",
            "title": f"Mean of {names}",
            "description": f"The mean probabilities of {len(cards)} networks: {names}.",
            "architecture": Architecture(name="ensemble", options={"members": architectures}),
            "bands": tuple(bands.values()),
            "gsd_m": cards[0].gsd_m.model_copy(
                update={
                    "min": min(card.gsd_m.min for card in cards),
                    "max": max(card.gsd_m.max for card in cards),
                }
            ),
            "temperature": 1.0,
            "score_calibration": None,
            "objects": cards[0].objects if all(card.objects == cards[0].objects for card in cards) else None,
            "min_area_m2": min(card.min_area_m2 for card in cards),
            "licence": " AND ".join(sorted({card.licence for card in cards})),
            "trained_on": tuple(learnt),
            "scores": (),
            "recipe": {},
            "weights_sha256": sha256_of_json(parts),
        }
    )


def member_facts(members: Sequence[tuple[ModelCard, float]]) -> list[dict[str, object]]:
    """List members for run records and catalogues; JSON values."""
    return [
        {
            "name": card.name,
            "version": card.version,
            "weights_sha256": card.weights_sha256,
            "licence": card.licence,
            "temperature": card.temperature,
            "share": share,
        }
        for card, share in members
    ]
