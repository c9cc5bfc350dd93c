"""Registration of layers and tasks of other packages, so that runs write and show them like geoseg's own.

Register when your package is imported. The workers of a cluster must import it too, by Dask's option ``--preload``;
where they did not, a run is refused with the name of the task.
"""

from __future__ import annotations

from geoseg.errors import UsageError
from geoseg.inference.tasks.registry import TASKS
from geoseg.inference.tasks.task import Task
from geoseg.io.publish.layer_kinds import KINDS, LayerKind
from geoseg.models.heads import HEADS, Head
from geoseg.run.layer_writers import WRITERS, Writer

_OWN_ROLES = frozenset(WRITERS) | frozenset(KINDS)
_OWN_TASKS = frozenset(TASKS) | frozenset(HEADS)


def register_layer(role: str, *, writer: Writer, kind: LayerKind) -> None:
    """Make runs write, show and describe the layers of a role.

    A role registered before by another package or an earlier call is replaced.

    Args:
        role: ``role`` of the layers, which the schema of a task lists.
        writer: writes the file of a layer; see ``geoseg.testing.layer_writers.LayerWriterTests`` for its laws.
        kind: place and style in QGIS, media type and roles in STAC.

    Raises:
        UsageError: the role is one of geoseg's own.
    """
    if role in _OWN_ROLES:
        raise UsageError(f"register_layer: {role!r} is a role of geoseg's own layers. Choose another name.")
    WRITERS[role], KINDS[role] = writer, kind


def register_task(name: str, *, task: Task, head: Head) -> None:
    """Make runs know a task, by which a model's card says what its network answers.

    Args:
        name: ``task`` of the cards.
        task: lists the layers and assembles them.
        head: turns what the network returns into named arrays.

    Raises:
        UsageError: the task is one of geoseg's own.
    """
    if name in _OWN_TASKS:
        raise UsageError(f"register_task: {name!r} is a task of geoseg's own. Choose another name.")
    TASKS[name], HEADS[name] = task, head
