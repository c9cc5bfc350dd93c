"""Clusters with GPUs, faked: each worker has a device of its own; GPU workers run networks, CPU workers the rest."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import types
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Self

import cloudpickle
import distributed
import psutil
import pytest
import yaml
from test_worker_device import QUIET, LocalCUDACluster

from geoseg.archive.config import ArchiveConfig, ClusterClass
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive
from geoseg.errors import ResourceError, UsageError
from geoseg.models.model import ModelSource
from geoseg.run import cluster as cluster_module
from geoseg.run.cluster import DaskExecutor, local_cluster, started_cluster, tracing_executor
from geoseg.run.workers import processes
from geoseg.run.workers.processes import cpu_workers
from geoseg.run.workers.use import own_name

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "configs" / "archives").glob("*.yaml"))
SCENE_TASKS = {"geoseg-start_on_worker", "geoseg-finish_on_worker"}
NETWORK_TASKS = {"geoseg-describe_on_worker", "geoseg-block"}


def fake_devices() -> None:
    """Have this worker see the devices that its environment names; networks that are loaded there run on the CPU."""
    import torch

    import geoseg.run.on_worker as module

    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    torch.cuda.device_count = lambda: len(visible)  # type: ignore[assignment]
    load, used = module.load, []

    def recorded(source: ModelSource) -> Any:
        index = int(source.device.partition(":")[2] or 0) if source.device != "cpu" else None
        used.append(None if index is None else visible[index] if visible else "none")
        return load(replace(source, device="cpu"))

    module.load = recorded  # type: ignore[assignment]
    module.used_devices = used  # type: ignore[attr-defined]


def used_devices(dask_worker: Any) -> tuple[str, list[str]]:
    """Name of a worker, and the devices that networks were loaded for."""
    import geoseg.run.on_worker as module

    return str(dask_worker.name), module.used_devices  # type: ignore[attr-defined]


def devices_of(client: Any) -> dict[str, set[str]]:
    return {name: set(used) for name, used in client.run(used_devices).values()}


@contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.fixture(scope="module")
def mixed() -> Iterator[Any]:
    """Two workers with a GPU each, as ``dask_cuda`` starts them, and one for everything else."""
    module = types.ModuleType("dask_cuda")
    module.LocalCUDACluster = LocalCUDACluster  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patched, quietly():
        patched.setitem(sys.modules, "dask_cuda", module)
        options = QUIET | {"CUDA_VISIBLE_DEVICES": [4, 7]}
        spec = ClusterClass(name="dask_cuda.LocalCUDACluster", options=options, cpu_workers=1, timeout_s=120)
        with started_cluster(spec) as client:
            client.wait_for_workers(3)
            client.run(fake_devices)
            yield client


def workers_by_task(client: Any, records: Any) -> dict[str, set[str]]:
    """Names of the workers that ran each kind of task."""
    names = {address: str(facts["name"]) for address, facts in client.scheduler_info(n_workers=-1)["workers"].items()}
    found = defaultdict(set)
    for record in records:
        kind = next((kind for kind in SCENE_TASKS | NETWORK_TASKS if record["key"].startswith(kind)), None)
        if kind is not None:
            found[kind].add(names[record["worker"]])
    return found


def auto_archive(make_archive: Any, scenes: int) -> ArchiveConfig:
    """An archive whose networks may use a GPU."""
    config: ArchiveConfig = make_archive(scenes, device="auto")
    return config


def test_gpu_workers_run_networks_and_cpu_workers_everything_else(
    mixed: Any, make_archive: Any, tmp_path: Path
) -> None:
    records: list[SceneRecord] = []
    config = auto_archive(make_archive, 4)
    with distributed.get_task_stream(mixed) as stream:
        run_archive(config, workers=DaskExecutor(mixed, threads=1), on_record=records.append)
    assert [record.state for record in records] == ["done"] * 4
    ran = workers_by_task(mixed, stream.data)
    assert set(ran) == SCENE_TASKS | NETWORK_TASKS
    assert set.union(*(ran[kind] for kind in NETWORK_TASKS)) <= {"4", "7"}
    assert ran["geoseg-block"] == {"4", "7"}, "both have work"
    assert set.union(*(ran[kind] for kind in SCENE_TASKS)) == {"cpu-0"}
    told = {use.name: use for record in records for use in record.workers}
    assert {name for name, use in told.items() if use.blocks} == {"4", "7"}
    assert {name for name, use in told.items() if use.scenes} == {"cpu-0"}
    assert devices_of(mixed) == {"4": {"4"}, "7": {"7"}, "cpu-0": set()}, "a device each, none for the rest"
    run_archive(config.model_copy(update={"out": tmp_path / "alone", "workers": 0}))
    rasters = sorted((tmp_path / "alone").glob("area*/*_classes.tif"))
    assert len(rasters) == 4
    for path in rasters:
        assert (config.out / path.parent.name / path.name).read_bytes() == path.read_bytes()


def test_only_gpu_workers_are_counted_as_places_for_blocks(mixed: Any) -> None:
    assert DaskExecutor(mixed).slots() == 4


def test_a_network_for_the_cpu_needs_no_gpu(mixed: Any, make_archive: Any) -> None:
    executor = DaskExecutor(mixed, threads=1)
    source = ModelSource(name_or_path=make_archive(1).model, device="cpu", runtime="torch", precision="fp32")
    assert executor._needs(executor.load_model(source)) == {"geoseg_block": 1.0}


def test_roles_stay_while_a_worker_is_started_again(mixed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = DaskExecutor(mixed)
    assert executor._mixed()
    left = {"tcp://10.0.0.1:1": {"nthreads": 2, "resources": {"CPU": 2}}}
    monkeypatch.setattr(executor, "_workers", lambda: left)
    assert executor._gpu() == {"GPU": 0.5}, "a block waits for a GPU and goes nowhere else"
    assert executor._scene_needs() == {"CPU": 1.0}
    assert DaskExecutor._mixed(executor)


def test_polygons_are_traced_by_cpu_workers(mixed: Any) -> None:
    with tracing_executor(mixed) as executor:
        names = {executor.submit(own_name).result(timeout=60) for _ in range(6)}
    assert names == {"cpu-0"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_workers_of_this_machine_use_as_many_devices(
    count: int, make_archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1,6,2")
    monkeypatch.setattr(cluster_module.torch.cuda, "device_count", lambda: 4)
    with quietly(), local_cluster(count) as client:
        client.wait_for_workers(count)
        client.run(fake_devices)
        config = make_archive(count, device="auto", scenes_in_flight=count)
        assert run_archive(config, workers=DaskExecutor(client, threads=1)).done == count
        used = devices_of(client)
    assert all(len(devices) <= 1 for devices in used.values())
    known = [device for devices in used.values() for device in devices]
    assert sorted(known) == sorted(["3", "1", "6", "2"][:count])


def ended(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=15)
    return not alive


def test_processes_for_scenes_end_with_the_run() -> None:
    resource_tracker.ensure_running()  # Python's own; it stays until the tests end
    with quietly(), distributed.LocalCluster(n_workers=0, **QUIET) as cluster:
        before = set(psutil.Process().children(recursive=True))
        with distributed.Client(cluster) as client, cpu_workers(cluster.scheduler_address, 1):
            client.wait_for_workers(1, timeout=60)
            (facts,) = client.scheduler_info(n_workers=-1)["workers"].values()
            assert (facts["name"], facts["nthreads"], facts["resources"]) == ("cpu-0", 2, {"CPU": 2})
            assert set(client.run(os.getenv, "CUDA_VISIBLE_DEVICES").values()) == {""}
            started = list(set(psutil.Process().children(recursive=True)) - before)
            assert started
        assert ended(started)


class Recorded:
    """A cluster class that notes what it is asked for; its workers never come."""

    calls: list[tuple[str, dict[str, Any]]]

    def __init__(self, **options: Any) -> None:
        type(self).calls = [("options", options)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def scale(self, n: int | None = None, jobs: int = 0) -> None:
        self.calls.append(("scale", {"n": n, "jobs": jobs}))


class KubeCluster(Recorded):
    def add_worker_group(self, name: str, n_workers: int = 3, **more: Any) -> None:
        self.calls.append((name, {"n_workers": n_workers, **more}))


class SLURMCluster(Recorded):
    def __init__(self, cores: int | None = 1, **options: Any) -> None:
        if cores is None:
            raise ValueError("You must specify how much cores")
        super().__init__(**options)


class NoClient:
    def __init__(self, cluster: Recorded) -> None:
        del cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait_for_workers(self, number: int, timeout: float) -> None: ...

    def run(self, function: object, *arguments: object, on_error: str) -> dict[str, object]:
        return {}

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"tcp://a:1": {"resources": {"CPU": 2}}}}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, kind in (("dask_jobqueue", SLURMCluster), ("dask_kubernetes.operator", KubeCluster)):
        made = types.ModuleType(module)
        setattr(made, kind.__name__, kind)
        monkeypatch.setitem(sys.modules, module, made)
        monkeypatch.setitem(sys.modules, module.partition(".")[0], made)
    monkeypatch.setattr(distributed, "Client", NoClient)


@pytest.mark.usefixtures("fakes")
def test_groups_of_workers_are_started_and_their_resources_waited_for() -> None:
    group = {"name": "gpu", "n_workers": 2, "resources": {"limits": {"nvidia.com/gpu": 1}}}
    spec = ClusterClass(
        name="dask_kubernetes.operator.KubeCluster",
        options={"name": "maps"},
        worker_groups=(group,),
        wait_for=("CPU", "GPU"),
        timeout_s=0.2,
    )
    with (
        pytest.raises(ResourceError, match=r"no worker declares GPU within 0 s.*--resources GPU=1"),
        started_cluster(spec),
    ):
        pass
    assert KubeCluster.calls == [
        ("options", {"name": "maps"}),
        ("gpu", {"n_workers": 2, "resources": {"limits": {"nvidia.com/gpu": 1}}}),
    ]
    with started_cluster(spec.model_copy(update={"wait_for": ("CPU",)})):
        pass


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"worker_groups": ({"name": "gpu"},)}, "it has no add_worker_group"),
        ({"scale": {"machines": 3}}, "arguments of scale do not fit"),
        ({"adapt": {"minimum": 0}}, "it has no adapt"),
        ({"options": {"cores": None}}, "its options do not fit .*how much cores"),
    ],
)
def test_what_a_cluster_cannot_do_is_said(changes: dict[str, Any], cause: str) -> None:
    spec = ClusterClass(name="dask_jobqueue.SLURMCluster", **changes)
    with pytest.raises(UsageError, match=cause), started_cluster(spec):
        pass


def test_a_scheduler_with_certificates_is_not_joined_blindly() -> None:
    with pytest.raises(UsageError, match="only schedulers at tcp://"), cpu_workers("tls://10.0.0.1:8786", 1):
        pass


def test_a_process_that_cannot_be_started_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises(ResourceError, match="temporarily unavailable"), cpu_workers("tcp://127.0.0.1:1", 1):
        pass


def test_a_process_that_ends_before_it_joins_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_start", lambda _: subprocess.Popen([sys.executable, "-c", "exit(3)"]))
    options = {
        "n_workers": 1,
        "processes": False,
        "dashboard_address": None,
        "protocol": "tcp",
        "resources": {"GPU": 1},
    }
    spec = ClusterClass(name="distributed.LocalCluster", options=options, cpu_workers=1, timeout_s=300)
    with pytest.raises(ResourceError, match="ended with code 3"), started_cluster(spec):
        pass


CLUSTERS = {path.stem: cluster for path in EXAMPLES if (cluster := ArchiveConfig.read(path).cluster) is not None}


@pytest.mark.parametrize("name", sorted(CLUSTERS))
def test_examples_of_gpu_clusters_declare_what_they_wait_for(name: str) -> None:
    """Each worker of the roles that a run waits for is started with that resource."""
    spec = CLUSTERS[name]
    text = yaml.safe_dump([spec.options, *spec.worker_groups])
    own = {"CPU"} if spec.cpu_workers else set()
    own |= {"GPU"} if spec.name.endswith("LocalCUDACluster") else set()
    own |= {role for role in ("CPU", "GPU") if f"{role}=" in text}
    needed = {*spec.wait_for, *(["CPU", "GPU"] if spec.cpu_workers else [])}
    assert needed <= own
    if name.startswith("gpus_"):
        assert needed == {"CPU", "GPU"}
        assert ArchiveConfig.read(EXAMPLES[0].parent / f"{name}.yaml").device == "cuda"


@pytest.mark.parametrize("name", sorted(CLUSTERS))
def test_examples_of_clusters_fit_the_packages_where_they_are_installed(name: str) -> None:
    module, _, kind = CLUSTERS[name].name.rpartition(".")
    package = pytest.importorskip(module, reason="an optional package", exc_type=ImportError)
    accepted = inspect.signature(getattr(package, kind)).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in accepted.values())
    assert takes_any or set(CLUSTERS[name].options) <= set(accepted)
    if "jobqueue" in module:
        job = getattr(package, kind).job_cls(scheduler="tcp://10.0.0.1:8786", name="0", **CLUSTERS[name].options)
        script = job.job_script()
        for word in ("#SBATCH --gres=gpu:1", "--nthreads 3 ", "--resources GPU=1"):
            assert (word in script) == (name == "gpus_on_slurm" or word == "#SBATCH --gres=gpu:1"), script
