"""What may happen to a run: it is killed, a worker is killed, the cluster goes, another run comes, a host stumbles."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_archive_run import alone_with, layers

from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig, ClusterClass
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive
from geoseg.core.block_result import BlockResult
from geoseg.errors import ClusterLostError, SceneError, UsageError
from geoseg.io.store import Store
from geoseg.run.cluster import DaskExecutor, local_cluster, started_cluster

SCRIPT = Path(__file__).with_name("archive_process.py")


def written(config: ArchiveConfig, path: Path) -> Path:
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def test_a_run_killed_in_the_middle_goes_on_to_the_same_bytes(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(4)
    died = subprocess.run([sys.executable, str(SCRIPT), str(written(config, tmp_path / "a.yaml")), "2"])
    assert died.returncode == -signal.SIGKILL
    assert (config.out / ".geoseg" / "archive.lock").exists(), "the lock of the dead one is there, and free"
    with Archive.open(config) as archive:
        assert [ref.name for ref in archive.left()] == ["area2", "area3"]
    before = {path: path.stat().st_mtime_ns for path in config.out.glob("*/run.json")}
    report = run_archive(config)
    assert (report.done, report.skipped, report.exit_code) == (2, 2, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert layers(config.out) == alone_with(config, tmp_path / "alone")


def test_a_scene_killed_between_its_blocks_goes_on_from_them(
    make_archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_archive(1)
    write, stored = Store.write, []

    def die_at_third(store: Store, result: BlockResult) -> None:
        if len(stored) == 3:
            raise KeyboardInterrupt
        write(store, result)
        stored.append((result.block.row, result.block.col))

    monkeypatch.setattr(Store, "write", die_at_third)
    with pytest.raises(KeyboardInterrupt):
        run_archive(config)
    monkeypatch.undo()
    seen: list[SceneRecord] = []
    assert run_archive(config, on_record=seen.append).done == 1
    assert (seen[0].blocks["resumed"], seen[0].attempts) == (3, 2)
    assert layers(config.out) == alone_with(config, tmp_path / "alone")


def test_the_second_run_waits_when_it_is_told_to(make_archive: Any) -> None:
    config = make_archive(1, on_lock="wait")
    reports = []
    with Archive.open(config):
        second = threading.Thread(target=lambda: reports.append(run_archive(config)))
        second.start()
        time.sleep(1.0)
        assert not reports
        assert not list(config.out.glob("area*"))
    second.join(60)
    assert [report.done for report in reports] == [1]


def test_a_worker_that_dies_costs_what_it_held(make_archive: Any, crew_of_two: DaskExecutor, tmp_path: Path) -> None:
    config = make_archive(4)
    killed: list[int] = []

    def kill(record: SceneRecord) -> None:
        if not killed:
            killed.append(crew_of_two._client.submit(os.getpid, pure=False).result())
            os.kill(killed[0], signal.SIGKILL)

    report = run_archive(config, workers=crew_of_two, on_record=kill)
    assert killed
    assert (report.done, report.failed) == (4, ())
    assert layers(config.out) == alone_with(config, tmp_path / "alone")


@pytest.mark.slow
def test_a_cluster_that_goes_is_no_scene_s_fault(make_archive: Any) -> None:
    config = make_archive(3)
    with local_cluster(1) as client:
        workers = DaskExecutor(client, threads=1)

        def close(record: SceneRecord) -> None:
            client.close()

        with pytest.raises(ClusterLostError, match="Run again to resume"):
            run_archive(config.model_copy(update={"scenes_in_flight": 1}), workers=workers, on_record=close)
    with Archive.open(config) as archive:
        assert {record.state for _, record in archive.iter_status()} == {"done", "waiting"}
    report = run_archive(config)
    assert (report.exit_code, report.done + report.skipped) == (0, 3)
    assert report.done < 3


@pytest.mark.slow
def test_a_cluster_class_is_named_in_the_configuration(make_archive: Any, tmp_path: Path) -> None:
    options = {"n_workers": 1, "threads_per_worker": 2, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    cluster = {"name": "distributed.LocalCluster", "options": options | {"silence_logs": 50}, "scale": {"n": 1}}
    config = make_archive(2, workers=None, cluster=cluster)
    assert run_archive(config).done == 2
    assert layers(config.out) == alone_with(config, tmp_path / "alone")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("os.system", "Its package must be one of"),
        ("distributed.Client", "no such cluster class"),
        ("distributed.NoCluster", "no such cluster class"),
    ],
)
def test_a_cluster_that_cannot_be_is_said_so(name: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause), started_cluster(ClusterClass(name=name)):
        pass


def test_a_cluster_of_a_package_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'geoseg\[jobqueue\]'"),
        started_cluster(ClusterClass(name="dask_jobqueue.SLURMCluster")),
    ):
        pass


def test_only_the_network_is_tried_again(make_archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import geoseg.run.executor as module

    config = make_archive(1, backoff_s=0.0)
    real, calls = module.Scene, []

    def stumbling(uri: str, *arguments: Any) -> Any:
        calls.append(uri)
        if len(calls) < 3:
            raise SceneError(uri, "rows 0-9 cannot be decoded (HTTP response code: 503).")
        return real(uri, *arguments)

    monkeypatch.setattr(module, "Scene", stumbling)
    assert run_archive(config).exit_code == 7
    assert len(calls) == 1, "a file on the disk is not read better the second time"
    monkeypatch.setattr("geoseg.archive.scene_run.is_remote", lambda uri: True)
    over_network = config.model_copy(update={"opening": config.opening.model_copy(update={"allow_remote": True})})
    seen: list[SceneRecord] = []
    report = run_archive(over_network, retry_failed=True, on_record=seen.append)
    assert (report.exit_code, len(calls), seen[0].attempts) == (0, 3, 3)


@pytest.mark.parametrize(
    ("cause", "attempts"),
    [
        ("cannot be opened (HTTP response code: 404).", 1),
        ("cannot be opened (HTTP response code on https://host/503.tif: 404).", 1),
        ("the STAC item cannot be read (HTTP Error 403: Forbidden).", 1),
        ("rows 400-403 cannot be decoded (HTTP response code: 503).", 3),
        ("cannot be opened (HTTP response code on https://host/404/a.tif: 503).", 3),
    ],
)
def test_what_a_host_denies_is_not_asked_again(
    make_archive: Any, monkeypatch: pytest.MonkeyPatch, cause: str, attempts: int
) -> None:
    import geoseg.run.executor as module

    calls = []

    def denied(uri: str, *arguments: Any) -> Any:
        calls.append(uri)
        raise SceneError(uri, cause)

    monkeypatch.setattr(module, "Scene", denied)
    monkeypatch.setattr("geoseg.archive.scene_run.is_remote", lambda uri: True)
    config = make_archive(1, backoff_s=0.0, opening={"allow_remote": True})
    assert run_archive(config).failed[0].exit_code == 3
    assert len(calls) == attempts


@pytest.mark.slow
def test_a_block_that_kills_its_workers_fails_its_scene_alone(
    make_archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cloudpickle

    import geoseg.run.on_worker as on_worker_module

    def poisoned(order: Any, block: Any, network: Any = None) -> bool:
        import os
        import time

        import geoseg.run.on_worker as on_the_worker

        if "area1" in order.uri and (block.row, block.col) == (1, 1):
            time.sleep(0.3)
            os._exit(1)
        return on_the_worker.predict_on_worker(order, block, network)

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(on_worker_module, "predict_on_worker", poisoned)
    config = make_archive(4, shape=(300, 300))
    with local_cluster(2) as client:
        report = run_archive(config, workers=DaskExecutor(client, threads=1))
    assert report.done == 3, "those that shared a worker with it are tried again"
    (failed,) = report.failed
    assert (failed.name, failed.exit_code) == ("area1", 5)
    assert "block 1,1 took 4 workers with it" in failed.cause
    monkeypatch.undo()
    assert run_archive(config).done == 1
    assert layers(config.out) == alone_with(config, tmp_path / "alone")
