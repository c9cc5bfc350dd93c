"""Functions that run on a cluster worker: begin a scene, predict its blocks, finish it. Models stay loaded."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch

from geoseg.core.card import ModelCard
from geoseg.core.tiling import Block
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import DeviceError, GeosegError, ModelError, WriteError
from geoseg.io.labels.area_of_interest import Mask, read_area
from geoseg.io.polygons.ogr_file import silence_ogr
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.io.store import Store
from geoseg.models.model import Model, ModelSource, combined, load
from geoseg.run.executor import BlockDone, SceneRequest, read_inputs, timed_prediction
from geoseg.run.plan import RunPlan
from geoseg.run.publish import RunStats
from geoseg.run.report import Silence
from geoseg.run.stages import StartedRun, disk_errors, finish_run, plan_of, run_paths, start_run
from geoseg.run.workers.device import own_index
from geoseg.runtimes.runtime import RuntimeInfo

if TYPE_CHECKING:
    from geoseg.models.own_network import OwnNetwork

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
BLOCKS_AT_ONCE = 2
"""Blocks in a worker at once: one is read while the network works on the other."""
_OPEN_SCENES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictTask:
    """Input of a worker for predicting blocks of one scene."""

    uri: str
    options: OpenOptions
    model: ModelSource
    digest: str
    plan: RunPlan
    store: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTask:
    """Input of a worker for beginning and finishing one scene.

    Attributes:
        request: the scene; its paths are absolute.
        model: described, not loaded.
    """

    request: SceneRequest
    model: DescribedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedModel:
    """Description of a model without its network, for plans and records.

    Attributes:
        members: card, runtime, tiles per batch and weight of each network.
        source: source of the model.
    """

    members: tuple[tuple[ModelCard, RuntimeInfo, int, float], ...]
    source: ModelSource

    def model(self) -> Model:
        """Make a model from the description; it cannot predict."""
        members = [Model(card, self.source, info=info, batch=batch) for card, info, batch, _ in self.members]
        return combined(members, [share for *_, share in self.members], self.source)

    @classmethod
    def of(cls, model: Model, source: ModelSource) -> DescribedModel:
        """Describe a model and each of its networks."""
        members = tuple(
            (member.card, member.info, member.batch, share)
            for member, share in zip(model.members, model.shares, strict=True)
        )
        return cls(members=members, source=source)


_IN_FLIGHT = threading.BoundedSemaphore(BLOCKS_AT_ONCE)
_NETWORK = threading.Lock()
_OPENING = threading.Lock()
_FINISHING = threading.Lock()


def _plainly(call: Callable[P, T]) -> Callable[P, T]:
    """Raise errors of geoseg without their cause, since a GDAL error could not be unpickled by the client.

    A worker whose GPU failed ends, and its nanny starts another: the cluster tries the task again there.
    """

    @wraps(call)
    def plain(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except GeosegError as error:
            reported = error
        if isinstance(reported, DeviceError) and _is_started_again():
            _log.error("%s: this worker ends and is started again", reported)
            os._exit(1)
        reported.__cause__ = reported.__context__ = None
        raise reported

    return plain


def _is_started_again() -> bool:
    """Return True in a worker process that a nanny starts again when it ends."""
    from distributed import get_worker  # noqa: PLC0415 - slow to import, and loaded where a worker is

    try:
        return bool(getattr(get_worker(), "nanny", None))
    except ValueError:  # not in a worker
        return False


@_plainly
def predict_on_worker(order: PredictTask, block: Block, network: OwnNetwork | None = None) -> BlockDone:
    """Predict one block and store it, unless it is stored already; at most two are in flight per process.

    Args:
        order: scene, model and plan.
        block: the block.
        network: the network, if it does not come from a file.

    Returns:
        The block, with the work of this process.
    """
    with _IN_FLIGHT, disk_errors(order.store):
        with _OPENING:
            model = _model(replace(_placed(order.model), network=network), order.digest)
            scene, mask = _scene(order.uri, order.options, order.plan.spec.aoi, order.key)
            store = Store.of_run(order.store, order.plan.blocks, order.key, order.plan.schema)
        stored = store.read(block)
        if stored is not None:  # by a worker that died before it could say so
            return BlockDone(block=block, empty=stored.is_empty(order.plan.schema))
        (source,) = read_inputs(scene, order.plan, mask, [block])
        with _NETWORK:
            result, use = timed_prediction(model, order.plan, source)
        store.write(result)
        return BlockDone(block=block, empty=not source.valid.any(), use=use)


@_plainly
def start_on_worker(order: SegmentTask) -> StartedRun:
    """Open a scene, match it, take its digest and see what is left of it; see ``geoseg.run.stages.start_run``."""
    request = order.request
    work = run_paths(Path(request.out), request.name)
    with disk_errors(work.lock.parent), Scene(request.uri, request.options) as scene:
        if not work.lock.exists():
            raise WriteError(
                f"{request.out}: not there for a worker. Choose an output folder that all workers see, or set a place "
                "for blocks on an object store (blocks: s3://BUCKET/PREFIX)."
            )
        model = order.model.model()
        plan = plan_of(scene, model, request.spec)
        return start_run(scene, model, plan, work, overwrite=request.overwrite)


@_plainly
def finish_on_worker(order: SegmentTask, started: StartedRun, facts: RunStats) -> UntypedDict:
    """Write the layers of a scene, one scene at a time in a process; see ``geoseg.run.stages.finish_run``."""
    silence_ogr()
    request = order.request
    with _FINISHING, disk_errors(started.work.lock.parent), Scene(request.uri, request.options) as scene:
        return finish_run(scene, order.model.model(), started, facts, Silence())


@_plainly
def describe_on_worker(source: ModelSource) -> DescribedModel:
    """Load a model on this worker and describe it."""
    with _OPENING:
        model = _loaded(_placed(source))
    return DescribedModel.of(model, source)


def _placed(source: ModelSource) -> ModelSource:
    """Return the model source with the device and the threads of this worker."""
    from distributed import get_worker  # noqa: PLC0415

    worker = get_worker()
    threads = worker.state.nthreads if source.threads is None else source.threads
    device, count = source.device, torch.cuda.device_count()
    if count > 1 and may_use_gpu(source) and device in ("auto", "cuda"):
        device = f"cuda:{own_index(worker, count)}"
    return replace(source, threads=threads, device=device)


def may_use_gpu(source: ModelSource) -> bool:
    """Return True if a model of this source runs on a GPU where a worker has one."""
    return source.device.startswith("cuda") or (source.device == "auto" and source.runtime != "openvino")


def _model(source: ModelSource, digest: str) -> Model:
    model = _loaded(source)
    if model.digest() != digest:  # maybe only the file was replaced since
        _loaded.cache_clear()
        model = _loaded(source)
    if model.digest() != digest:
        raise ModelError(
            f"{', '.join(source.names)}: a worker has {model.info.version} ({model.info.precision} on "
            f"{model.info.device}) or another model file than the rest. Make the workers alike, or name --runtime, "
            "--device and --precision."
        )
    return model


@lru_cache(maxsize=2)
def _loaded(source: ModelSource) -> Model:
    return load(source)


@lru_cache(maxsize=_OPEN_SCENES)
def _scene(uri: str, options: OpenOptions, aoi: str | None, key: str) -> tuple[Scene, Mask | None]:
    """Open a scene; ``key`` identifies its content, so that a replaced file is opened anew."""
    scene = Scene(uri, options)
    return scene, None if aoi is None else read_area(aoi, scene.geobox, allow_remote=options.allow_remote)
