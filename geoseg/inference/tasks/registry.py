"""Registry of tasks by name."""

from __future__ import annotations

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.inference.tasks.instance import InstanceTask
from geoseg.inference.tasks.panoptic import PanopticTask
from geoseg.inference.tasks.semantic import SemanticTask
from geoseg.inference.tasks.task import Task

TASKS: dict[str, Task] = {"semantic": SemanticTask(), "instance": InstanceTask(), "panoptic": PanopticTask()}
"""Tasks by their name in a model's card. Other packages may add entries; see docs/adr/0012."""


def task_of(card: ModelCard) -> Task:
    """Find the task of a model.

    Raises:
        ModelError: no task of this name is registered.
    """
    if card.task not in TASKS:
        raise ModelError(f"{card.name}: its card names the task {card.task!r}; known are {', '.join(TASKS)}.")
    return TASKS[card.task]
