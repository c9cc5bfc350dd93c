"""A panoptic model of two: one names the stuff of each pixel, the other detects things."""

from __future__ import annotations

from collections.abc import Sequence

from geoseg.core.card import Architecture, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import ModelError

_TASKS = ["instance", "semantic"]
_MOST_CODE = 254


def is_pair(cards: Sequence[ModelCard]) -> bool:
    """Return True if the cards are those of one semantic and one instance model."""
    return sorted(card.task for card in cards) == _TASKS


def pair_legend(stuff: ModelCard, things: ModelCard) -> tuple[Legend, tuple[int, ...]]:
    """Combine the legends of a semantic and an instance model.

    A class of things that both know by name has the code of the semantic model; others get codes of their own. All
    other classes of the semantic model are stuff.

    Returns:
        The legend, whose first classes are those of the semantic model in their order, and the code of each label of
        the instance model, counted from 1.

    Raises:
        ModelError: nothing is left for stuff, or there are no codes left.
    """
    own = stuff.legend
    known = {entry.name: entry.code for entry in own.classes}
    detected = [things.legend.by_code(code) for code in things.legend.things]
    names = {entry.name for entry in detected}
    classes = [entry.model_copy(update={"countable": entry.name in names}) for entry in own.classes]
    taken, codes = {*own.codes, own.nodata}, []
    for entry in detected:
        code = known.get(entry.name)
        if code is None:
            code = next((n for n in range(_MOST_CODE + 1) if n not in taken), None)
            if code is None:
                raise ModelError(f"{stuff.name} and {things.name} have more classes than there are codes.")
            taken.add(code)
            classes.append(LegendClass(code=code, name=entry.name, colour=entry.colour, countable=True))
        codes.append(code)
    if all(entry.countable for entry in classes):
        raise ModelError(
            f"{stuff.name} and {things.name} make no panoptic map: every class of the first is a thing of the second. "
            "Choose a semantic model that names stuff too."
        )
    return Legend(classes=tuple(classes), nodata=own.nodata, background=own.background), tuple(codes)


def pair_card(card: ModelCard, stuff: ModelCard, things: ModelCard) -> ModelCard:
    """Describe a pair as one model.

    Args:
        card: of both as an ensemble, with their bands, licences and data.
        stuff: of the semantic model.
        things: of the instance model.
    """
    return card.model_copy(
        update={
            "name": "panoptic-pair",
            "title": f"Stuff of {stuff.name}, things of {things.name}",
            "description": f"A panoptic map: {stuff.name} names the stuff, {things.name} detects the things.",
            "task": "panoptic",
            "legend": pair_legend(stuff, things)[0],
            "architecture": Architecture(name="panoptic-pair", options={"members": [stuff.name, things.name]}),
            "min_score": things.min_score,
            "temperature": 1.0,
        }
    )
