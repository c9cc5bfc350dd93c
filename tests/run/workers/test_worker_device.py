"""Each worker uses the device that it was given; workers that share an environment share its devices out."""

from __future__ import annotations

import random
import sys
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import cloudpickle
import distributed
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.archive.config import ClusterClass
from geoseg.models.model import ModelSource
from geoseg.run import on_worker
from geoseg.run.cluster import DaskExecutor, started_cluster
from geoseg.run.workers import device as worker_device
from geoseg.run.workers.device import Peer, device_index

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test

NAMES = st.sampled_from(["{}", "gpu-{}", "0-{}", "SLURMCluster-3-{}", "tcp://10.0.0.1:{}", 1])
LISTS = st.sampled_from(
    [(), ("1", "2"), ("0", "1", "2", "3"), ("GPU-84fd", "GPU-d6ac", "GPU-1581"), ("MIG-1", "MIG-2")]
)


def named(pattern: str | int, number: int) -> int | str:
    return number if isinstance(pattern, int) else pattern.format(number)


@given(pattern=NAMES, visible=LISTS, workers=st.integers(1, 12), count=st.integers(1, 8), seed=st.integers(0, 99))
def test_workers_of_one_environment_spread_evenly_in_whatever_order_they_come(
    pattern: Any, visible: tuple[str, ...], workers: int, count: int, seed: int
) -> None:
    order = random.Random(seed)  # noqa: S311 - a shuffle
    names = [named(pattern, number) for number in order.sample(range(workers), workers)]
    there: dict[int | str, Peer] = {}
    while names:
        coming = [names.pop() for _ in range(order.randint(1, len(names)))]  # these choose at the same moment
        there |= {name: Peer(name=name, visible=visible) for name in coming}
        seen = list(there.values())
        order.shuffle(seen)
        for name in coming:
            there[name] = Peer(name=name, visible=visible, index=device_index(name, seen, count))
        uses = Counter(peer.index for peer in there.values())
        assert max(uses.values()) <= min(uses[index] for index in range(count)) + 1
        assert set(uses) <= set(range(count))


@pytest.mark.parametrize(
    "devices", [[0, 1], [1, 2], [3, 2], [0, 1, 2, 3], ["GPU-d6ac", "GPU-84fd"], ["MIG-4", "MIG-6"]]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_workers_of_dask_cuda_each_use_the_device_of_their_own(devices: list[Any], as_text: bool) -> None:
    peers = []
    for number, device in enumerate(devices):  # named after their device, which is the first of their list
        name = f"worker-{number}" if as_text else device
        peers.append(Peer(name=name, visible=tuple(map(str, devices[number:] + devices[:number]))))
    used = [peer.visible[device_index(peer.name, peers, len(devices))] for peer in peers]
    assert used == [str(device) for device in devices]


def test_a_worker_that_comes_again_takes_the_device_that_became_free() -> None:
    peers = [Peer(name=0, index=0), Peer(name=1), Peer(name=2, index=2)]
    assert device_index(1, peers, 3) == 1


class LocalCUDACluster(distributed.LocalCluster):
    """Names and rotates as ``dask_cuda.LocalCUDACluster`` 26.10 does; needs no GPU."""

    def __init__(self, CUDA_VISIBLE_DEVICES: list[int], threads_per_worker: int = 1, **options: Any) -> None:  # noqa: N803
        self.visible = CUDA_VISIBLE_DEVICES
        super().__init__(n_workers=0, threads_per_worker=threads_per_worker, processes=True, **options)
        self.scale(len(self.visible))
        self.sync(self._correct_state)

    def new_worker_spec(self) -> dict[Any, Any]:
        name = min(set(self.visible) - set(self.worker_spec))
        at = self.visible.index(name)
        rotated = self.visible[at:] + self.visible[:at]
        options = self.new_spec["options"] | {"env": {"CUDA_VISIBLE_DEVICES": ",".join(map(str, rotated))}}
        return {name: self.new_spec | {"options": options}}


QUIET = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}


@pytest.fixture(scope="module")
def rotated() -> Iterator[Any]:
    module = types.ModuleType("dask_cuda")
    module.LocalCUDACluster = LocalCUDACluster  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        patched.setitem(sys.modules, "dask_cuda", module)
        warnings.simplefilter("ignore", DeprecationWarning)
        options = QUIET | {"CUDA_VISIBLE_DEVICES": [1, 2]}
        with started_cluster(ClusterClass(name="dask_cuda.LocalCUDACluster", options=options)) as client:
            client.wait_for_workers(2)
            yield client


def placed_with_two_devices(device: str, runtime: str) -> str:
    """Where this worker would load a model if it saw two devices."""
    import torch

    counted = torch.cuda.device_count
    torch.cuda.device_count = lambda: 2  # type: ignore[assignment]
    try:
        return on_worker._placed(ModelSource(name_or_path="none", device=device, runtime=runtime)).device  # type: ignore[arg-type]
    finally:
        torch.cuda.device_count = counted  # type: ignore[assignment]


def placed(client: Any, device: str = "auto", runtime: str = "torch") -> dict[Any, str]:
    named = {facts["name"]: address for address, facts in client.scheduler_info(n_workers=-1)["workers"].items()}
    futures = {
        name: client.submit(placed_with_two_devices, device, runtime, workers=[address], pure=False)
        for name, address in named.items()
    }
    return {name: future.result() for name, future in futures.items()}


def test_a_cluster_of_dask_cuda_uses_every_device_once_and_holds_two_blocks_on_each(rotated: Any) -> None:
    assert placed(rotated) == {1: "cuda:0", 2: "cuda:0"}, "the first of each worker's own list"
    for facts in rotated.scheduler_info(n_workers=-1)["workers"].values():
        assert facts["nthreads"] == on_worker.BLOCKS_AT_ONCE + 1
        assert facts["resources"] == {"GPU": 1, "geoseg_block": on_worker.BLOCKS_AT_ONCE, "geoseg_layers": 1}
    assert DaskExecutor(rotated).slots() == 4


def test_what_is_named_is_taken_as_it_is(rotated: Any) -> None:
    assert set(placed(rotated, "cuda:1").values()) == {"cuda:1"}
    assert set(placed(rotated, "cpu").values()) == {"cpu"}
    assert set(placed(rotated, "auto", "openvino").values()) == {"auto"}, "openvino is for the CPU"


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Plain workers of one environment with two devices; only one of them says that it has a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    options: dict[str, Any] = {"nthreads": 1, "silence_logs": 50}
    kind = distributed.Nanny
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        workers = {
            "w-0": {"cls": kind, "options": options},
            "w-1": {"cls": kind, "options": options | {"resources": {"GPU": 1}}},
        }
        scheduler = {
            "cls": distributed.Scheduler,
            "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
        }
        with (
            distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.wait_for_workers(2)
            yield client


def loads() -> int:
    return on_worker._loaded.cache_info().misses


@pytest.mark.slow
def test_models_are_described_where_a_gpu_is_and_plain_workers_take_devices_in_turn(
    mixed: Any, tiny_model: Any
) -> None:
    assert placed(mixed) == {"w-0": "cuda:0", "w-1": "cuda:1"}
    source = ModelSource(name_or_path=str(tiny_model), runtime="torch", precision="fp32")
    for threads in range(1, 5):
        DaskExecutor(mixed, threads=threads).load_model(source)
    names = {address: facts["name"] for address, facts in mixed.scheduler_info(n_workers=-1)["workers"].items()}
    loaded = {names[address]: number for address, number in mixed.run(loads).items()}
    assert loaded == {"w-0": 0, "w-1": 4}, "no worker without a GPU describes what runs on one"


def test_a_choice_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_device._choice, "index", 3)
    assert worker_device.own_index(None, 4) == 3  # type: ignore[arg-type]
