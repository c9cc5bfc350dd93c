"""Executor on a Dask cluster: only addresses, windows and cards are sent; workers read files and write the store."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from geoseg.core.tiling import Block
from geoseg.core.types.json_value import JsonObject, UntypedDict
from geoseg.errors import ClusterLostError, GeosegError, ResourceError
from geoseg.io.files.output_lock import locked
from geoseg.io.raster.scene import Scene
from geoseg.io.store import Store
from geoseg.models.bundled import BUNDLED
from geoseg.models.model import Model, ModelSource
from geoseg.run import on_worker
from geoseg.run.executor import BlockDone, SceneRequest, Slot, State
from geoseg.run.on_worker import BLOCKS_AT_ONCE, DescribedModel, PredictTask, SegmentTask
from geoseg.run.plan import Job
from geoseg.run.publish import RunStats
from geoseg.run.report import Reporter, Silence
from geoseg.run.stages import StartedRun, disk_errors, finish_run, plan_of, run_paths, start_run
from geoseg.run.workers.processes import CPU
from geoseg.run.workers.use import WorkerUse, added

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

BLOCK = "geoseg_block"
"""Dask resource of workers that geoseg starts: blocks at once, which leaves a thread for other stages."""
LAYERS = "geoseg_layers"
"""Dask resource of workers that geoseg starts: scenes whose layers are written at once."""
GPU = "GPU"
"""Dask resource of workers that own a device."""
_LOOK_AGAIN_S = 5.0


class DaskExecutor:
    """Scenes and blocks spread over the workers of a cluster; may be used from several threads.

    Each worker process loads the network once and keeps it for all blocks and scenes. Only a few blocks per worker are
    submitted at a time, divided evenly among the scenes in flight, so neither the client's memory nor the scheduler's
    grows with a scene or an archive. All workers must see the files of scene, model and output under the same paths.

    Where some workers declare ``CPU`` and others ``GPU``, networks that may use a GPU run on the latter alone, and
    scenes are opened and layers written by the former alone. Roles once seen stay, so that a task waits for a worker
    of its kind that is started again.

    Args:
        client: client of the cluster.
        threads: CPU threads of each worker's network; None: as many as the worker declares.
        slot: context manager held for each scene while its blocks are predicted.
    """

    concurrent = True

    def __init__(self, client: Client, *, threads: int | None = None, slot: Slot = nullcontext) -> None:
        self._client = client
        self._threads = threads
        self._slot = slot
        self._quarantine, self._finishing = threading.Lock(), threading.Lock()
        self._counting, self._counting_roles = threading.Lock(), threading.Lock()
        self._scenes = 0
        self._slots, self._looked = 0, -_LOOK_AGAIN_S
        self._seen: set[str] = set()

    def load_model(self, source: ModelSource) -> Model:
        """Load a model on a worker and return a description of it; this machine need not be able to run it.

        If workers declare a GPU, one of those loads it, so that the description has the runtime that will be used.

        Raises:
            ModelError, ResourceError, UsageError: raised on the worker.
        """
        what = f"loading {', '.join(source.names)}"
        needs = self._gpu() if on_worker.may_use_gpu(source) else {}
        described = self._result(on_worker.describe_on_worker, self._there(source), what=what, resources=needs or None)
        return replace(described, source=source).model()

    def predict_blocks(
        self, job: Job, store: Store, left: list[Block], advance: Callable[[int], None]
    ) -> Iterator[BlockDone]:
        """See ``Executor``.

        Raises:
            ModelError: a worker would compute with another runtime or precision than the others.
            ClusterLostError: the cluster was lost.
            ResourceError: a block kills every worker that takes it.
            WriteError: a worker cannot see or write the output.
        """
        order = PredictTask(
            uri=_absolute(job.scene.uri),
            options=job.scene.options,
            model=self._there(job.model.source),
            digest=job.model.digest(),
            plan=job.plan,
            store=store.address,
            key=store.key,
        )
        for done in self._spread(order, left, self._needs(job.model), self._network(job.model.source)):
            advance(done.block.window.pixels)
            yield done

    def segment_scene(self, request: SceneRequest, model: Model, reporter: Reporter) -> tuple[UntypedDict, State]:
        """See ``Executor``: begin, blocks and layers on the workers; this process holds the lock and counts.

        Where workers do not see the output (``request.blocks``), they predict blocks, and this process does the rest.

        Raises:
            GeosegError: as ``geoseg.run.predict.predict``, and ``predict`` above.
        """
        request = replace(request, uri=_absolute(request.uri), out=str(Path(request.out).absolute()))
        if request.blocks is not None:
            return self._segment_apart(request, model, reporter)
        order = SegmentTask(request=request, model=DescribedModel.of(model, model.source))
        work = run_paths(Path(request.out), request.name)
        with disk_errors(Path(request.out)), locked(work.lock):
            what, needs = f"{request.uri}: opening it", self._scene_needs()
            started: StartedRun = self._result(on_worker.start_on_worker, order, what=what, resources=needs)
            if started.finished is not None:
                return started.finished, started.state
            for note in started.notes:
                reporter.note(note)
            facts = self._predict_started(request, model, started, str(work.blocks), reporter)
            what, needs = f"{request.uri}: writing its layers", self._scene_needs(LAYERS)
            record = self._result(on_worker.finish_on_worker, order, started, facts, what=what, resources=needs)
            return record, started.state

    def _segment_apart(self, request: SceneRequest, model: Model, reporter: Reporter) -> tuple[UntypedDict, State]:
        """Segment a scene with workers that see the scene and the store of blocks, but not the output."""
        work = run_paths(Path(request.out), request.name, blocks=request.blocks)
        with disk_errors(Path(request.out)), locked(work.lock), Scene(request.uri, request.options) as scene:
            plan = plan_of(scene, model, request.spec)
            started = start_run(scene, model, plan, work, overwrite=request.overwrite)
            if started.finished is not None:
                return started.finished, started.state
            for note in started.notes:
                reporter.note(note)
            facts = self._predict_started(request, model, started, started.store().address, reporter)
            with self._finishing:
                return finish_run(scene, model, started, facts, Silence()), started.state

    def _predict_started(
        self, request: SceneRequest, model: Model, started: StartedRun, store: str, reporter: Reporter
    ) -> RunStats:
        """Predict the blocks of a scene that was opened; they lie in ``store``, a path or an address."""
        order = PredictTask(
            uri=request.uri,
            options=request.options,
            model=self._there(model.source),
            digest=model.digest(),
            plan=started.plan,
            store=store,
            key=started.store_key,
        )
        return self._predict(order, started, self._needs(model), reporter)

    def slots(self) -> int:
        """Return the number of blocks that the workers hold at once; refreshed regularly, since a cluster may grow."""
        with self._counting:
            if time.monotonic() - self._looked >= _LOOK_AGAIN_S:
                mixed = self._mixed()
                self._slots = sum(
                    min(int(worker["nthreads"]), BLOCKS_AT_ONCE)
                    for worker in self._workers().values()
                    if not mixed or GPU in worker.get("resources", {})
                )
                self._looked = time.monotonic()
            return self._slots

    def _predict(
        self, order: PredictTask, started: StartedRun, resources: dict[str, float], reporter: Reporter
    ) -> RunStats:
        rows, cols = started.plan.read.scene_shape
        left_px = sum(block.window.pixels for block in started.left)
        reporter.stage("predict", rows * cols, rows * cols - left_px)
        began, clock, empty, predicted_px = datetime.now(UTC), time.perf_counter(), 0, 0
        workers: tuple[WorkerUse, ...] = ()
        for done in self._spread(order, started.left, resources):
            empty += done.empty
            predicted_px += 0 if done.empty else done.block.window.pixels
            workers = added(workers, done.use)
            reporter.advance(done.block.window.pixels)
        return RunStats(
            started=began,
            predict_s=time.perf_counter() - clock,
            blocks=started.counts() | {"predicted": len(started.left) - empty, "empty": empty},
            predicted_px=predicted_px,
            identity=started.facts(),
            workers=workers,
        )

    def _there(self, source: ModelSource) -> ModelSource:
        own = source.network is not None
        first, *others = (name if own or name in BUNDLED else _absolute(name) for name in source.names)
        return replace(source, name_or_path=first, others=tuple(others), threads=self._threads, network=None)

    def _network(self, source: ModelSource) -> object:
        """Send a network of the caller's own to the cluster, once for all blocks; None if it comes from a file."""
        if source.network is None:
            return None
        content, name = source.network.to_bytes(), f"geoseg-network-{uuid4().hex[:12]}"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # a network is, and travels once
            return self._client.submit(type(source.network).from_bytes, content, key=name, pure=False)

    def _declared(self) -> set[str]:
        """Names of the resources that workers declare, or have declared since this executor was made."""
        now = {name for worker in self._workers().values() for name in worker.get("resources", {})}
        with self._counting_roles:
            self._seen |= now
            return set(self._seen)

    def _mixed(self) -> bool:
        """Return True if some workers are for networks and others for scenes."""
        return {GPU, CPU} <= self._declared()

    def _scene_needs(self, without_roles: str | None = None) -> dict[str, float] | None:
        """Return the resource that opening a scene or writing its layers needs.

        Args:
            without_roles: the resource to take where no worker declares ``CPU``, if workers declare that.
        """
        declared = self._declared()
        return next(({name: 1.0} for name in (CPU, without_roles) if name in declared), None)

    def _needs(self, model: Model) -> dict[str, float]:
        """Return the resources that a block needs, out of those that workers declare."""
        needs = {BLOCK: 1.0} if BLOCK in self._declared() else {}
        on_gpu = model.info.device.startswith("cuda") or (self._mixed() and on_worker.may_use_gpu(model.source))
        return needs | (self._gpu() if on_gpu else {})

    def _gpu(self) -> dict[str, float]:
        """Return the resource that a network on a GPU needs; empty if no worker declares a GPU."""
        return {GPU: 1.0 / BLOCKS_AT_ONCE} if GPU in self._declared() else {}

    def _workers(self) -> UntypedDict:
        with self._lost("looking for workers"):
            workers: UntypedDict = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    def _spread(
        self, order: PredictTask, left: list[Block], resources: dict[str, float], network: Any = None
    ) -> Iterator[BlockDone]:
        from distributed import KilledWorker, as_completed  # noqa: PLC0415

        waiting, blocks, run = iter(left), dict[str, Block](), uuid4().hex[:12]
        arguments: JsonObject = {"pure": False, "resources": resources or None, "network": network}

        def hand_out() -> list[object]:
            futures = []
            for _, block in zip(range(self._share() - len(blocks)), waiting, strict=False):
                key = f"geoseg-block-{run}-{block.row}-{block.col}"
                blocks[key] = block
                futures.append(self._client.submit(on_worker.predict_on_worker, order, block, key=key, **arguments))
            return futures

        running: Any = None
        with self._slot() if left else nullcontext(), self._one_more_scene(), self._lost(order.uri):
            try:
                running = as_completed(hand_out())
                for future in running:
                    block = blocks.pop(future.key)
                    try:
                        done: BlockDone = future.result()
                    except KilledWorker as error:
                        what, deaths = f"{order.uri}: block {block.row},{block.col}", error.allowed_failures + 1
                        done = self._alone(what, deaths, on_worker.predict_on_worker, order, block, **arguments)
                    yield done
                    for following in hand_out():
                        running.add(following)
            finally:
                if running is not None:
                    running.clear()  # lets go of what is not done: the cluster forgets it

    def _alone(self, what: str, deaths: int, call: Callable[..., T], *arguments: object, **options: object) -> T:
        """Retry a suspect task alone, one at a time: the cluster blames all tasks of a worker that died.

        Args:
            what: description of the task, for the message.
            deaths: number of workers that died with it so far.
            call: the function.
            arguments: arguments of the function.
            options: options of ``Client.submit``.

        Raises:
            ResourceError: workers die of this task.
        """
        from distributed import KilledWorker  # noqa: PLC0415

        key = f"geoseg-suspect-{uuid4().hex[:12]}"
        with self._quarantine:
            try:
                result: T = self._client.submit(call, *arguments, key=key, **options).result()
            except KilledWorker as error:
                raise ResourceError(
                    f"{what} took {deaths + error.allowed_failures + 1} workers with it, most likely for want of "
                    "memory. Pass a smaller --block-px or fewer --workers."
                ) from error
            return result

    def _share(self) -> int:
        """Return the number of blocks one scene may have submitted: all scenes together twice what the workers hold."""
        return max(1, 2 * self.slots() // max(1, self._scenes))

    @contextmanager
    def _one_more_scene(self) -> Iterator[None]:
        with self._counting:
            self._scenes += 1
        try:
            yield
        finally:
            with self._counting:
                self._scenes -= 1

    @contextmanager
    def _lost(self, what: str) -> Iterator[None]:
        """Convert errors due to the loss of the cluster.

        Raises:
            ClusterLostError: the cluster was lost.
        """
        from distributed import CancelledError  # noqa: PLC0415

        try:
            yield
        except GeosegError:
            raise
        except Exception as error:  # a client that is closed during a call raises arbitrary errors
            gone = isinstance(error, CancelledError | OSError | TimeoutError) or self._client.status != "running"
            if not gone:
                raise
            raise ClusterLostError(f"{what}: the Dask cluster was lost. Run again to resume.") from error

    def _result(
        self, call: Callable[..., T], *arguments: object, what: str, resources: dict[str, float] | None = None
    ) -> T:
        """Run a function on a worker, with priority over pending blocks."""
        from distributed import KilledWorker  # noqa: PLC0415

        key = f"geoseg-{call.__name__}-{uuid4().hex[:12]}"
        options: JsonObject = {"pure": False, "priority": 10, "resources": resources}
        with self._lost(what):
            try:
                result: T = self._client.submit(call, *arguments, key=key, **options).result()
            except KilledWorker as error:
                return self._alone(what, error.allowed_failures + 1, call, *arguments, **options)
            return result


def _absolute(path: str) -> str:
    """Make a local path absolute, since a worker may run in another folder; a remote address is unchanged."""
    return str(Path(path).absolute()) if Path(path).exists() else path
