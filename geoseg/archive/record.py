"""SceneRecord: the state of one scene of an archive."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from geoseg.core.types.json_value import UntypedDict
from geoseg.run.workers.use import WorkerUse

State = Literal["waiting", "running", "done", "failed"]


class SceneRecord(BaseModel):
    """State of one scene of an archive, the provenance of its layers, and totals over them.

    Attributes:
        name: its name in the archive, unique there; its layers lie in the folder of this name.
        uri: path or address of the imagery.
        time: date and time of the imagery, ISO 8601, where the source tells it.
        state: "waiting" (not tried yet, or outdated), "running", "done" or "failed".
        layers: folder of its layers relative to the archive's output, with "/" on every system; empty unless done.
        scene_digest: digest of the imagery that was read.
        model_digest: digest of the model.
        options_digest: digest of the options.
        footprint: outline as a GeoJSON geometry in longitude and latitude; None if unknown.
        pixels: pixels of the grid.
        valid_pixels: pixels that got a class.
        class_areas_m2: true ground area of each class by its name.
        neighbours: addresses of the scenes whose pixels were read beyond its edges.
        left_out: cause for each neighbour, by its address, that was damaged or did not fit, so it was done without.
        timings: seconds by stage.
        blocks: numbers of blocks: all ("total"), computed ("predicted", "empty"), taken over ("resumed").
        workers: work of each process that took part.
        attempts: number of attempts with this imagery, model and options.
        cause: reason for the failure, one line.
        exit_code: exit code that ``geoseg predict`` would give.
        transient: True if the failure may go away by itself (disk, memory, network), so that the next run tries
            again; a failure due to the scene, the model or an option stays until that changes.
        started: when its last attempt began.
        finished: when its last attempt ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    uri: str
    time: str = ""
    state: State = "waiting"
    layers: str = ""
    scene_digest: str = ""
    model_digest: str = ""
    options_digest: str = ""
    footprint: UntypedDict | None = None
    pixels: int = 0
    valid_pixels: int = 0
    class_areas_m2: dict[str, float] = Field(default_factory=dict)
    neighbours: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)
    timings: dict[str, float] = Field(default_factory=dict)
    blocks: dict[str, int] = Field(default_factory=dict)
    workers: tuple[WorkerUse, ...] = ()
    attempts: int = 0
    cause: str = ""
    exit_code: int | None = None
    transient: bool = True
    started: datetime | None = None
    finished: datetime | None = None
