"""Options that the models' cards decide unless the user does: the smallest polygon, the counting of objects."""

from __future__ import annotations

from collections.abc import Sequence

from geoseg.core.card import CountingDefaults, ModelCard
from geoseg.core.spec import ObjectChoice, PredictSpec


def with_card_defaults(spec: PredictSpec, cards: Sequence[ModelCard]) -> tuple[PredictSpec, tuple[str, ...]]:
    """Fill in what the options leave to the cards.

    Args:
        spec: options of the run.
        cards: the card of each network.

    Returns:
        The options, and a note for each kind of value that a card decided.
    """
    spec, counting = _with_counting(spec, cards)
    spec, merging = _with_area(spec, cards)
    return spec, (*counting, *merging)


def _with_counting(spec: PredictSpec, cards: Sequence[ModelCard]) -> tuple[PredictSpec, tuple[str, ...]]:
    """Fill in how objects are counted from the card if the options do not say it, with a note."""
    choice, advice = spec.objects, cards[0].objects
    if choice is None and spec.panoptic is not None and all(card.task == "semantic" for card in cards):
        return _with_things(spec, cards)
    if choice is None or advice is None or any(card.objects != advice for card in cards):
        return spec, ()
    found: dict[str, str | float] = {}
    usable = spec.confidence or advice.split != "confidence"
    if choice.split is None and advice.split is not None and usable:
        found["split"] = advice.split
    if choice.neck is None and advice.neck is not None and found.get("split", choice.split) == advice.split:
        found["neck"] = advice.neck
    if choice.min_area_m2 is None and spec.min_area_m2 is None and advice.min_area_m2 is not None:
        found["min_area_m2"] = advice.min_area_m2
    if not found:
        return spec, ()
    note = f"objects are counted as the model's card advises: {CountingDefaults.model_validate(found).words}"
    return spec.model_copy(update={"objects": choice.model_copy(update=found)}), (note,)


def _with_things(spec: PredictSpec, cards: Sequence[ModelCard]) -> tuple[PredictSpec, tuple[str, ...]]:
    """Fill in how a class map is parted into the things of a panoptic map, with a note."""
    assert spec.panoptic is not None  # noqa: S101 - it is asked for
    choice = spec.panoptic.objects or ObjectChoice(classes="countable")
    counted, notes = _with_counting(spec.model_copy(update={"objects": choice, "panoptic": None}), cards)
    panoptic = spec.panoptic.model_copy(update={"objects": counted.objects})
    return spec.model_copy(update={"panoptic": panoptic}), notes


def _with_area(spec: PredictSpec, cards: Sequence[ModelCard]) -> tuple[PredictSpec, tuple[str, ...]]:
    """Fill in the smallest polygon area from the cards if the options do not set it, with a note."""
    if spec.min_area_m2 is not None:
        return spec, ()
    area_m2 = min(card.min_area_m2 for card in cards)
    note = f"polygons under {area_m2:g} m2 merged; --min-area-m2 0 gives all"
    return spec.model_copy(update={"min_area_m2": area_m2}), (note,) if area_m2 and spec.vector else ()
