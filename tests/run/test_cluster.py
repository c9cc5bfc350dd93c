"""Workers of a real cluster give the bytes that one process gives, and their loss costs only what they held."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
import tomllib
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import shapely
from affine import Affine
from conftest import blobs, tiny_card
from odc.geo.geobox import GeoBox
from packaging.requirements import Requirement
from test_resume import contents

import geoseg.run.on_worker as on_worker_module
from geoseg.cli.main import app
from geoseg.core.card import CardBand
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.core.tiling import Block
from geoseg.errors import ModelError, ResourceError, SceneError, UsageError
from geoseg.models.model import Model, ModelSource, load, load_model
from geoseg.models.own_network import OwnNetwork
from geoseg.process.command import run_command
from geoseg.run.cluster import DaskExecutor, joined_cluster, local_cluster
from geoseg.run.predict import predict
from geoseg.testing.instances import PerfectDetector
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

distributed = pytest.importorskip("distributed")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
SPEC = PredictSpec(block_px=128)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with local_cluster(2) as started:
            yield started


@pytest.fixture(scope="module")
def source(tiny_model: Path) -> ModelSource:
    return ModelSource(name_or_path=str(tiny_model), device="cpu", runtime="torch", precision="fp32")


@pytest.fixture(scope="module")
def model(source: ModelSource) -> Model:
    return load_model(source.name_or_path, device="cpu", runtime="torch", precision="fp32")


def test_two_workers_give_the_bytes_of_one_process(
    client: Any, source: ModelSource, model: Model, write_scene: Any, tmp_path: Path
) -> None:
    scene = write_scene(blobs((330, 310)))
    workers = DaskExecutor(client, threads=1)
    alone = predict(scene, model, tmp_path / "alone", spec=SPEC)
    shared = predict(scene, workers.load_model(source), tmp_path / "shared", spec=SPEC, workers=workers)
    assert contents(shared.bundle.directory) == contents(alone.bundle.directory)
    assert shared.record["blocks"] == alone.record["blocks"]
    assert shared.record["runtime"] == alone.record["runtime"]
    assert not predict(scene, model, tmp_path / "shared", spec=SPEC).fresh, "one identity, whoever did the work"


def test_a_client_is_an_executor(client: Any, model: Model, write_scene: Any, tmp_path: Path) -> None:
    scene = write_scene(blobs((150, 150)))
    alone = predict(scene, model, tmp_path / "alone", spec=SPEC)
    shared = predict(scene, model, tmp_path / "shared", spec=SPEC, workers=client)
    assert contents(shared.bundle.directory) == contents(alone.bundle.directory)
    with pytest.raises(UsageError, match=r"distributed\.Client as workers, not int"):
        predict(scene, model, tmp_path / "out", workers=4)  # type: ignore[arg-type]


def test_two_workers_detect_the_objects_of_one_process(client: Any, write_scene: Any, tmp_path: Path) -> None:
    numbers = np.zeros((3, 230, 310), np.uint8)
    for number in range(1, 60):
        top, left = divmod(number * 37, 290)
        numbers[number % 3, top * 3 % 200 : top * 3 % 200 + 25, left : left + 20] = number
    card = tiny_card(
        name="perfect",
        task="instance",
        bands=tuple(CardBand(name=name, mean=0, std=1 / 255) for name in ("red", "green", "blue")),
    )
    own = ModelSource(name_or_path="perfect", network=OwnNetwork(PerfectDetector(classes=2), card), runtime="torch")
    scene, spec = write_scene(numbers), PredictSpec(block_px=64, instances=InstanceChoice(object_ids=True))
    workers = DaskExecutor(client, threads=1)
    detector = load(own)
    alone = predict(scene, detector, tmp_path / "alone", spec=spec)
    shared = predict(scene, detector, tmp_path / "shared", spec=spec, workers=workers)
    assert alone.record["objects"] > 20
    assert contents(shared.bundle.directory) == contents(alone.bundle.directory)


def test_a_scene_that_is_replaced_is_read_anew(client: Any, model: Model, write_scene: Any, tmp_path: Path) -> None:
    workers = DaskExecutor(client, threads=1)
    for seed in (1, 2):
        scene = write_scene(blobs((150, 150), seed=seed))
        shared = predict(scene, model, tmp_path / f"shared{seed}", spec=SPEC, workers=workers)
        alone = predict(scene, model, tmp_path / f"alone{seed}", spec=SPEC)
        assert contents(shared.bundle.directory) == contents(alone.bundle.directory)


def test_a_worker_that_dies_costs_what_it_held(client: Any, model: Model, write_scene: Any, tmp_path: Path) -> None:
    scene = write_scene(blobs((330, 310)))
    killed: list[int] = []

    class Killer:
        def stage(self, name: str, total_px: int, done_px: int = 0) -> None: ...

        def note(self, text: str) -> None: ...

        def advance(self, pixels: int) -> None:
            if not killed:
                killed.append(client.submit(os.getpid, pure=False).result())
                os.kill(killed[0], signal.SIGKILL)

    workers = DaskExecutor(client, threads=1)
    layers = predict(scene, model, tmp_path / "out", spec=SPEC, workers=workers, reporter=Killer())
    alone = predict(scene, model, tmp_path / "alone", spec=SPEC)
    assert killed
    assert contents(layers.bundle.directory) == contents(alone.bundle.directory)


@pytest.mark.slow
def test_a_worker_whose_gpu_fails_is_started_again_and_costs_what_it_held(
    client: Any, model: Model, write_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = str(tmp_path / "failed")

    def failing(order: Any, block: Block, network: Any = None) -> bool:
        import geoseg.run.on_worker as on_the_worker
        from geoseg.errors import DeviceError

        def gpu() -> None:
            if (block.row, block.col) == (1, 1) and not os.path.exists(marker):  # noqa: PTH110 - pickled by value
                with open(marker, "x") as file:  # noqa: PTH123
                    file.write(str(os.getpid()))
                raise DeviceError("cuda:0: the GPU failed (CUDA error: unspecified launch failure)")

        on_the_worker._plainly(gpu)()
        return on_the_worker.predict_on_worker(order, block, network)

    monkeypatch.setattr(on_worker_module, "predict_on_worker", failing)
    scene = write_scene(blobs((330, 310)))
    layers = predict(scene, model, tmp_path / "out", spec=SPEC, workers=DaskExecutor(client, threads=1))
    monkeypatch.undo()
    alone = predict(scene, model, tmp_path / "alone", spec=SPEC)
    assert contents(layers.bundle.directory) == contents(alone.bundle.directory)
    failed = int(Path(marker).read_text())
    assert failed not in client.run(os.getpid).values()
    assert failed != os.getpid()


@pytest.mark.slow
def test_a_block_that_kills_its_workers_is_named(
    client: Any, model: Model, write_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(order: Any, block: Block, network: Any = None) -> bool:
        import geoseg.run.on_worker as on_the_worker

        if (block.row, block.col) == (1, 1):
            os._exit(1)
        return on_the_worker.predict_on_worker(order, block, network)

    monkeypatch.setattr(on_worker_module, "predict_on_worker", poisoned)
    scene = write_scene(blobs((330, 310)))
    with pytest.raises(ResourceError, match=r"scene.tif: block 1,1 took 4 workers with it.* smaller --block-px"):
        predict(scene, model, tmp_path, spec=SPEC, workers=DaskExecutor(client, threads=1))
    monkeypatch.undo()
    layers = predict(scene, model, tmp_path, spec=SPEC)
    assert layers.record["blocks"]["resumed"] > 0, "what the others finished is kept"


def test_what_a_worker_refuses_is_said_as_it_is_here(
    client: Any, model: Model, write_scene: Any, tmp_path: Path
) -> None:
    scene = write_scene(blobs((330, 310)), compress=None)
    content = bytearray(scene.read_bytes())

    class Breaker:
        def stage(self, name: str, total_px: int, done_px: int = 0) -> None: ...

        def note(self, text: str) -> None: ...

        def advance(self, pixels: int) -> None:
            scene.write_bytes(content[: len(content) // 2])

    with pytest.raises(SceneError):
        predict(scene, model, tmp_path, spec=SPEC, workers=DaskExecutor(client, threads=1), reporter=Breaker())
    assert not (tmp_path / "scene").exists()


def test_workers_with_other_arithmetic_are_refused(
    client: Any, tiny_model: Path, write_scene: Any, tmp_path: Path
) -> None:
    here = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    other = Model(
        here.card,
        info=here.info,
        runtime=here.runtime,
        source=ModelSource(name_or_path=str(tiny_model), runtime="torch", precision="bf16"),
    )
    with pytest.raises(ModelError, match="Make the workers alike"):
        predict(write_scene(), other, tmp_path, spec=SPEC, workers=DaskExecutor(client, threads=1))


def test_a_running_cluster_is_joined_and_left_running(
    client: Any, model: Model, write_scene: Any, tmp_path: Path
) -> None:
    with joined_cluster(client.scheduler.address) as joined:
        predict(write_scene(), model, tmp_path, spec=SPEC, workers=DaskExecutor(joined))
    assert client.submit(abs, -1).result() == 1


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("spec", [VectorSpec(), VectorSpec(simplify_m=1.5, min_area_m2=3)], ids=["exact", "simpler"])
def test_polygons_traced_on_a_cluster_are_those_traced_here(client: Any, spec: VectorSpec) -> None:
    codes = (blobs((230, 190), bands=1)[0] // 52).astype(np.uint8)
    codes[40:60, 70:130] = 255
    grid = GeoBox((230, 190), Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), "EPSG:32632")
    source = ArraySource(codes, codes * 20)
    here = list(vectorise_codes(source, grid, spec=spec))
    with client.get_executor(pure=False) as executor:
        there = list(vectorise_codes(source, grid, spec=spec, block_px=64, executor=executor))
    assert len(here) == len(there) == 1
    assert shapely.equals_identical(here[0].geometry, there[0].geometry).all()
    np.testing.assert_array_equal(here[0].confidence_min, there[0].confidence_min)


def test_the_command_traces_on_a_cluster(client: Any, model: Model, write_scene: Any, tmp_path: Path) -> None:
    codes = predict(write_scene(), model, tmp_path, spec=SPEC).bundle.classes
    made = []
    for name, more in (("here", []), ("there", ["--scheduler", client.scheduler.address])):
        out = tmp_path / f"{name}.gpkg"
        command = ["vectorise", str(codes), "--out", str(out), "--block-px", "64", *more]
        assert run_command(partial(app, args=command, standalone_mode=False), debug=False) == 0
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_no_cluster_where_one_was_promised() -> None:
    with (
        pytest.raises(ResourceError, match="no Dask scheduler answers"),
        joined_cluster("tcp://127.0.0.1:1", timeout_s=0.5),
    ):
        pass
    with pytest.raises(UsageError, match="at least 1"), local_cluster(0):
        pass


def test_the_extra_for_the_dashboard_installs_what_dask_asks_for() -> None:
    asked = [Requirement(text) for text in importlib.metadata.requires("dask") or []]
    wanted = {one.name.lower() for one in asked if one.marker and one.marker.evaluate({"extra": "diagnostics"})}
    plain = {one.name.lower() for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})}
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    given = {Requirement(text).name.lower() for text in project["optional-dependencies"]["dashboard"]}
    assert "bokeh" in wanted
    assert wanted - plain <= given
