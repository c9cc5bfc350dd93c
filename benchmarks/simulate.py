"""An archive's run as a queueing network, simulated event by event: where a large one bends, before anyone pays for it.

    find scene -> client -> scheduler -> worker -> store -> client ...

A scene is one task to open it, its blocks, and one task to write its layers; a task becomes possible when those before
it are done. Client, scheduler and store each serve one request after another; workers one task each. The client hands
out no more than a window of tasks and keeps no more than so many scenes begun. A worker that fails loses the task it
holds, which is done again by another, and comes back after a while.

Plain Python: an event is a tuple in a heap, a task costs three of them.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass

_SUBMITTED, _READY, _COMPUTED, _DONE, _FAILURE, _BACK = range(6)
_OPEN, _BLOCK, _LAYERS = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds that one thing takes.

    Attributes:
        client_scene_s: of the client for each scene: to find it, look it up, lock it and write its records.
        client_task_s: of the client for each task: to submit it and to take its answer.
        scheduler_task_s: of the scheduler for each task.
        open_s: of a worker, to open and hash a scene.
        block_s: of a worker, to read, predict and store a block.
        layers_s: of a worker, to write a scene's layers.
        block_requests: requests to the store for each block.
        scene_requests: requests to the store for each scene's opening, and as many for its layers.
        store_requests_per_s: what the store serves; 0 is no limit.
        spread: 0: times are as given; 1: exponentially distributed around them.
    """

    client_scene_s: float = 0.0
    client_task_s: float = 0.0
    scheduler_task_s: float = 0.0
    open_s: float = 0.0
    block_s: float = 1.0
    layers_s: float = 0.0
    block_requests: float = 0.0
    scene_requests: float = 0.0
    store_requests_per_s: float = 0.0
    spread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Who works.

    Attributes:
        workers: how many.
        window: tasks handed out for each worker.
        scenes_in_flight: scenes begun and not finished; 0 is no limit.
        mean_life_s: mean time to a worker's failure, exponentially distributed; 0: none fails.
        restart_s: until a worker that failed is back.
        notice_s: until its task is given to another.
    """

    workers: int = 1
    window: int = 2
    scenes_in_flight: int = 0
    mean_life_s: float = 0.0
    restart_s: float = 60.0
    notice_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to.

    Attributes:
        seconds: from its begin to the last scene's end.
        worked_s: of all workers, in tasks, those lost included.
        lost_s: in tasks that were lost.
        client_s: that the client was busy.
        scheduler_s: that the scheduler was busy.
        store_s: that the store was busy.
        tasks: that were done.
        failures: of workers.
        most_tasks: handed out at once.
    """

    seconds: float
    worked_s: float
    lost_s: float
    client_s: float
    scheduler_s: float
    store_s: float
    tasks: int
    failures: int
    most_tasks: int


def simulate(scenes: int, blocks: int, fleet: Fleet, costs: Costs, seed: int = 0) -> Outcome:
    """Run an archive.

    Args:
        scenes: how many.
        blocks: of each scene.
        fleet: who works.
        costs: what it takes.
        seed: of the chances.
    """
    return _Run(scenes, blocks, fleet, costs, random.Random(seed)).run()  # noqa: S311 - a simulation


class _Run:
    """State of a simulation; times in seconds since its begin."""

    def __init__(self, scenes: int, blocks: int, fleet: Fleet, costs: Costs, chance: random.Random) -> None:
        self.scenes, self.blocks, self.fleet, self.costs, self.chance = scenes, blocks, fleet, costs, chance
        self.events: list[
            tuple[float, int, int, int, int]
        ] = []  # time, order, kind, task or worker, life of the worker
        self.order = 0
        self.client_free = self.scheduler_free = self.store_free = 0.0
        self.client_s = self.scheduler_s = self.store_s = self.worked_s = self.lost_s = 0.0
        self.begun = self.finished = self.tasks = self.failures = self.out = self.most = 0
        self.left: dict[int, int] = {}  # scene: blocks not done
        self.possible: deque[int] = deque()  # tasks, 3 * scene + kind, that may be handed out
        self.ready: deque[int] = deque()  # tasks at the scheduler that no worker has taken
        self.idle = list(range(fleet.workers))
        self.life = [0] * fleet.workers
        self.holds = [-1] * fleet.workers
        self.since = [0.0] * fleet.workers
        self.seconds = 0.0

    def run(self) -> Outcome:
        if self.fleet.mean_life_s:
            for worker in range(self.fleet.workers):
                self._push(self.chance.expovariate(1 / self.fleet.mean_life_s), _FAILURE, worker)
        self._hand_out(0.0)
        happen = (self._submitted, self._ready, self._computed, self._done, self._fail, self._back)
        events, pop = self.events, heapq.heappop
        while self.finished < self.scenes:
            now, _, kind, what, life = pop(events)
            happen[kind](now, what, life)
        return Outcome(
            seconds=self.seconds,
            worked_s=self.worked_s,
            lost_s=self.lost_s,
            client_s=self.client_s,
            scheduler_s=self.scheduler_s,
            store_s=self.store_s,
            tasks=self.tasks,
            failures=self.failures,
            most_tasks=self.most,
        )

    def _push(self, time: float, kind: int, what: int, life: int = 0) -> None:
        self.order += 1
        heapq.heappush(self.events, (time, self.order, kind, what, life))

    def _takes(self, seconds: float) -> float:
        return self.chance.expovariate(1 / seconds) if self.costs.spread and seconds else seconds

    def _hand_out(self, now: float) -> None:
        """Let the client submit what the window allows, scenes that are begun first."""
        costs, fleet = self.costs, self.fleet
        most = fleet.window * fleet.workers
        while self.out < most:
            if self.possible:
                task, seconds = self.possible.popleft(), costs.client_task_s
            elif self.begun < self.scenes and not 0 < fleet.scenes_in_flight <= self.begun - self.finished:
                task, seconds = 3 * self.begun + _OPEN, costs.client_scene_s + costs.client_task_s
                self.begun += 1
            else:
                return
            seconds = self._takes(seconds)
            self.client_s += seconds
            self.client_free = max(self.client_free, now) + seconds
            self.out += 1
            self.most = max(self.most, self.out)
            self._push(self.client_free, _SUBMITTED, task)

    def _submitted(self, now: float, task: int, _: int) -> None:
        seconds = self._takes(self.costs.scheduler_task_s)
        self.scheduler_s += seconds
        self.scheduler_free = max(self.scheduler_free, now) + seconds
        self._push(self.scheduler_free, _READY, task)

    def _ready(self, now: float, task: int, _: int) -> None:
        self.ready.append(task)
        self._start(now)

    def _start(self, now: float) -> None:
        """Give ready tasks to idle workers."""
        while self.ready and self.idle:
            task, worker = self.ready.popleft(), self.idle.pop()
            costs = self.costs
            seconds = (costs.open_s, costs.block_s, costs.layers_s)[task % 3]
            self.holds[worker], self.since[worker] = task, now
            self._push(now + self._takes(seconds), _COMPUTED, worker, self.life[worker])

    def _computed(self, now: float, worker: int, life: int) -> None:
        """Pass a worker's requests through the store; the worker waits for them."""
        if self.life[worker] != life:
            return
        costs = self.costs
        done = now
        if costs.store_requests_per_s:
            requests = costs.block_requests if self.holds[worker] % 3 == _BLOCK else costs.scene_requests
            seconds = self._takes(requests / costs.store_requests_per_s)
            self.store_s += seconds
            self.store_free = done = max(self.store_free, now) + seconds
        self._push(done, _DONE, worker, self.life[worker])

    def _done(self, now: float, worker: int, life: int) -> None:
        if self.life[worker] != life:
            return
        task, self.holds[worker] = self.holds[worker], -1
        self.worked_s += now - self.since[worker]
        self.idle.append(worker)
        self._start(now)
        self.tasks += 1
        self.out -= 1
        scene, kind = divmod(task, 3)
        if kind == _OPEN:
            self.left[scene] = self.blocks
            self.possible.extend([3 * scene + _BLOCK] * self.blocks)
        elif kind == _BLOCK:
            self.left[scene] -= 1
            if not self.left[scene]:
                del self.left[scene]
                self.possible.appendleft(3 * scene + _LAYERS)
        else:
            self.finished += 1
            self.seconds = now
        self._hand_out(now)

    def _fail(self, now: float, worker: int, _: int) -> None:
        self.failures += 1
        self.life[worker] += 1
        task, self.holds[worker] = self.holds[worker], -1
        if task >= 0:
            self.worked_s += now - self.since[worker]
            self.lost_s += now - self.since[worker]
            self._push(now + self.fleet.notice_s, _SUBMITTED, task)
        else:
            self.idle.remove(worker)
        self._push(now + self.fleet.restart_s, _BACK, worker)

    def _back(self, now: float, worker: int, _: int) -> None:
        self.idle.append(worker)
        self._push(now + self.chance.expovariate(1 / self.fleet.mean_life_s), _FAILURE, worker)
        self._start(now)
