"""How a scene ended, for Prefect: an event for automations, and the state of its task."""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from geoseg.archive.record import SceneRecord
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.flows.artifacts import artifact_key

Ended = dict[SceneRef, SceneRecord]
"""Scenes whose tasks are over, until the flow has taken them."""


def scene_id(archive: str, name: str) -> str:
    """Name a scene among those of all archives, as the resource of its events.

    Examples:
        >>> scene_id("Town of 2024", "north--a1")
        'geoseg.scene.town-of-2024.north--a1'
    """
    return f"geoseg.scene.{artifact_key(archive)}.{name}"


def emit_scene_event(archive: str, record: SceneRecord) -> State[None]:
    """Emit ``geoseg.scene.completed`` or ``geoseg.scene.failed`` and return the state of the scene's task.

    Events are queued: a lost API does not hold up the scene.

    Args:
        archive: its title.
        record: how the scene ended; one that was let go, since the run ended first, is no event.
    """
    if record.state not in {"done", "failed"}:
        return Completed(name="LetGo", message="the run ended first")
    emit_event(
        event=f"geoseg.scene.{'completed' if record.state == 'done' else 'failed'}",
        resource={
            "prefect.resource.id": scene_id(archive, record.name),
            "prefect.resource.name": record.name,
            "geoseg.archive": archive,
        },
        payload={
            "uri": record.uri,
            "layers": record.layers,
            "pixels": record.pixels,
            "valid_pixels": record.valid_pixels,
            "class_areas_m2": record.class_areas_m2,
            "attempts": record.attempts,
            "cause": record.cause,
            "exit_code": record.exit_code,
        },
    )
    if record.state == "failed":
        return Failed(message=record.cause)
    return Completed(message=f"{record.valid_pixels} of {record.pixels} pixels have a class")
