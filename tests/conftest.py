"""What most tests need: a small scene, a small model, a small archive, a small cluster."""

from __future__ import annotations

import gc
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import settings
from rasterio.errors import NotGeoreferencedWarning

from geoseg import nn
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.io.weights.model_file import write_model

settings.register_profile("search", deadline=None)  # machines that run tests are busy
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.load_profile("search")


def pytest_configure() -> None:
    """Collect no garbage while the tests are imported, and let what they start be interrupted.

    A shell lets what it starts in the background ignore SIGINT, and the commands of the tests would inherit that.
    """
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Leave what is loaded by now out of each collection of garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(name="restored_signals")
def fixture_of_restored_signals() -> Iterator[None]:
    """Put the handlers of SIGINT and SIGTERM back, which commands that run in this process replace."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled networks for one run of the tests: neither the user's are seen, nor any left."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GEOSEG_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="ground", colour="#c8b48c"),
        LegendClass(code=1, name="roof", colour="#d7301f"),
        LegendClass(code=5, name="water", colour="#2b8cbe"),
    ]
)


def tiny_card(**changes: Any) -> ModelCard:
    facts: dict[str, Any] = {
        "name": "tiny",
        "architecture": Architecture(name="unet", options={"width": 4, "depth": 2}),
        "bands": tuple(CardBand(name=name) for name in ("red", "green", "blue")),
        "gsd_m": GsdRange(min=0.4, max=0.6),
        "tile_px": 96,
        "halo_px": 16,
        "legend": LEGEND,
        "licence": "CC0-1.0",
    }
    return ModelCard(**(facts | changes))


def write_tiny_model(path: Path) -> Path:
    """Write a model file with random weights, seeded: its maps are nonsense, but the same nonsense every time."""
    torch.manual_seed(7)
    network = nn.build("unet", 3, 3, width=4, depth=2)
    write_model(path, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, tiny_card())
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with random weights, the same every time."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


WriteModel = Callable[..., Path]


@pytest.fixture
def write_tiny(tmp_path: Path) -> WriteModel:
    """Write a model file of random weights: ``write_tiny(seed, **changes of the card)``."""

    def write(seed: int, **changes: Any) -> Path:
        card = tiny_card(**({"name": f"tiny-{seed}"} | changes))
        torch.manual_seed(seed)
        network = nn.build("unet", len(card.bands), len(card.legend), width=4, depth=2)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.5)  # opinions worth averaging
        path = tmp_path / "models" / f"{card.name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        write_model(path, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, card)
        return path

    return write


def blobs(shape: tuple[int, int], bands: int = 3, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth random imagery (band, y, x) uint8."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(bands, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 4, 4), mode="wrap")
    return np.clip(128 + smooth * 600, 1, 254).astype(np.uint8)


WriteScene = Callable[..., Path]


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Write a GeoTIFF: ``write_scene(values, name=..., **profile)``; half-metre pixels in UTM by default."""

    def write(values: np.ndarray[Any, Any] | None = None, name: str = "scene.tif", **profile: Any) -> Path:
        values = blobs((200, 260)) if values is None else values
        path = tmp_path / "scenes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "driver": "GTiff",
            "dtype": values.dtype,
            "count": len(values),
            "height": values.shape[1],
            "width": values.shape[2],
            "crs": "EPSG:32632",
            "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000),
            "compress": "deflate",
        }
        if len(values) == 3:
            options["photometric"] = "RGB"
        options = {key: value for key, value in (options | profile).items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **options) as target:
                target.write(values)
        return path

    return write


@pytest.fixture(scope="session")
def crew_of_two() -> Iterator[Any]:
    """Two worker processes of a real Dask cluster, for all tests of the session."""
    from geoseg.run.cluster import DaskExecutor, local_cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with local_cluster(2) as client:
            yield DaskExecutor(client, threads=1)


@pytest.fixture
def make_archive(tiny_model: Path, write_scene: WriteScene, tmp_path: Path) -> Callable[..., Any]:
    """``make_archive(scenes=3, **config)``: small scenes of different content in a folder, nothing segmented yet."""
    from geoseg.archive.config import ArchiveConfig
    from geoseg.core.spec import PredictSpec

    def make(scenes: int = 3, shape: tuple[int, int] = (150, 140), **changes: Any) -> ArchiveConfig:
        for number in range(scenes):
            write_scene(blobs(shape, seed=number), name=f"area{number}.tif")
        facts: dict[str, Any] = {
            "source": tmp_path / "scenes",
            "model": str(tiny_model),
            "out": tmp_path / "out",
            "device": "cpu",
            "runtime": "torch",
            "precision": "fp32",
            "predict": PredictSpec(block_px=64, tile_px=64, halo_px=8),
            "workers": 0,
        }
        return ArchiveConfig(**(facts | changes))

    return make


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real Prefect server, for all tests of the session that do not kill it."""
    from prefect_server import server

    with server(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real S3-compatible server on this machine; ``use`` exports its address and a user's credentials."""
    from object_server import object_server

    with object_server(tmp_path_factory.mktemp("objects") / "server.log") as running:
        yield running


@pytest.fixture
def object_server(stores: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server, empty, with its variables exported."""
    stores.use(monkeypatch)
    yield stores
    stores.remove("")


@pytest.fixture
def on_store(make_archive: Any, object_server: Any, tmp_path: Path) -> Callable[..., Any]:
    """``on_store("machine", scenes=2)``: an archive on the server as another machine sees it, with its own folder."""
    from object_server import BUCKET

    del object_server

    def make(machine: str = "one", scenes: int = 2, **changes: Any) -> Any:
        scenes = 0 if (tmp_path / "scenes").is_dir() else scenes  # written once: their times of change count
        return make_archive(scenes, out=tmp_path / machine, store=f"s3://{BUCKET}/maps", **changes)

    return make


@pytest.fixture(scope="session")
def run_output(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a run on a scene of 200 x 260 px, for all tests of the session; nothing may change it."""
    from served_run import small_run

    return small_run(tmp_path_factory.mktemp("view"), tiny_model, blobs((200, 260)))


@pytest.fixture(scope="session")
def serve() -> Iterator[Any]:
    """``serve(path, other=None, edit=False)``: a real server of the map, and a client that knows its token."""
    from served_run import starter

    with ExitStack() as closing:
        yield starter(closing)


@pytest.fixture(scope="session")
def served(serve: Any, run_output: Path) -> Any:
    """A server of the run, and a client that knows its token."""
    return serve(run_output)


@pytest.fixture(scope="session")
def fault_runs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Any:
    """Small runs of commands by their names, whose inputs are made; see ``faults/small_runs.py``."""
    from small_runs import small_runs

    return small_runs(tmp_path_factory.mktemp("runs"), tiny_model)


@pytest.fixture(scope="session")
def fault_server(tmp_path_factory: pytest.TempPathFactory, fault_runs: Any) -> Iterator[Any]:
    """Runs commands in which one call of the system fails, in forks of a process that has run each; see ``faults``."""
    from injection import FaultServer, build, why_not

    if (reason := why_not()) is not None:
        pytest.skip(reason)
    scratch = tmp_path_factory.mktemp("faults")
    with FaultServer(scratch, build(scratch)) as started:
        for run in fault_runs.values():
            run.clear()
            started.warm(run.argv)
        yield started


SLOW_FOR_EVERY_NETWORK = {"test_exported_by_torch_it_answers_the_same", "test_one_batch_can_be_learnt_by_heart"}
"""Inherited tests of networks that take minutes over all of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the inherited tests of all networks as slow, and the cases of a test after as many as it says."""
    cases: Counter[str] = Counter()
    for item in items:
        if getattr(item, "originalname", "") in SLOW_FOR_EVERY_NETWORK and "networks.py" in item.nodeid:
            item.add_marker(pytest.mark.slow)
        if (quick := item.get_closest_marker("slow_after")) is not None:
            test = item.nodeid.split("[")[0]
            cases[test] += item.get_closest_marker("slow") is None
            if cases[test] > quick.args[0]:
                item.add_marker(pytest.mark.slow)
