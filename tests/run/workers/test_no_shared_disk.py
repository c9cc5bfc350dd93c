"""Workers that see neither the folder of the run nor each other's: blocks go through an object store."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from conftest import blobs
from object_server import BUCKET

from geoseg.archive.run import run_archive
from geoseg.archive.sources.config import ObjectsSource
from geoseg.core.spec import PredictSpec
from geoseg.io.block_places import BlockObjects
from geoseg.models.model import load_model
from geoseg.run.cluster import DaskExecutor, local_cluster
from geoseg.run.executor import BlockDone, LocalExecutor
from geoseg.run.predict import predict

BLOCKS = f"s3://{BUCKET}/blocks"


def _shut_out(folder: str) -> str:
    """Move this process to a folder of its own, and refuse it any file or folder below another one."""
    import os
    import sys
    import tempfile

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" or event.startswith("os."):
            for name in arguments:
                if isinstance(name, str | bytes | os.PathLike) and os.fsdecode(name).startswith(folder):
                    raise PermissionError(13, "this machine does not have it", os.fsdecode(name))

    sys.addaudithook(refuse)
    home = tempfile.mkdtemp(prefix="geoseg-worker-")
    os.chdir(home)
    return home


def test_the_bytes_are_those_of_one_process(
    make_archive: Any, object_server: Any, write_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = make_archive(2)
    half_empty = blobs((150, 140), seed=3)
    half_empty[:, 70:] = 0
    write_scene(half_empty, name="area2.tif", nodata=0)
    for path in (tmp_path / "scenes").glob("*.tif"):
        object_server.put(f"in/{path.name}", path)
    opening = local.opening.model_copy(update={"allow_remote": True})
    source = ObjectsSource(kind="objects", path=f"s3://{BUCKET}/in")
    near = local.model_copy(update={"source": source, "opening": opening})
    run_archive(near)
    far = near.model_copy(update={"out": tmp_path / "client" / "out"})

    stored: list[str] = []
    remove = BlockObjects.remove

    def seen(place: BlockObjects) -> None:
        stored.extend(object_server.keys("blocks"))
        remove(place)

    monkeypatch.setattr(BlockObjects, "remove", seen)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with local_cluster(2) as client:
            homes = client.run(_shut_out, str(tmp_path / "client"))
            workers = DaskExecutor(client, threads=1)
            alone = run_archive(far.model_copy(update={"attempts": 1}), workers=workers)
            assert (alone.done, len(alone.failed)) == (0, 3), "they really do not see the folder"
            assert all("this machine does not have it" in failed.cause for failed in alone.failed)
            report = run_archive(far.model_copy(update={"blocks": BLOCKS}), workers=workers)
            assert (report.done, report.failed) == (3, ())
    assert len(set(homes.values())) == 2
    assert not any(any(Path(home).iterdir()) for home in homes.values()), "nothing is left in their folders"
    assert any(key.endswith(".block") for key in stored)
    assert object_server.keys("blocks") == {}
    for name in ("area0", "area1", "area2"):
        for file in (near.out / name).glob("*"):
            if file.suffix in {".tif", ".gpkg", ".png"}:
                assert (far.out / name / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_run_goes_on_with_the_blocks_of_another_machine(
    write_scene: Any, tiny_model: Path, object_server: Any, tmp_path: Path
) -> None:
    class Interrupted(LocalExecutor):
        def predict_blocks(self, *arguments: Any) -> Iterator[BlockDone]:
            blocks = super().predict_blocks(*arguments)
            yield next(blocks)
            yield next(blocks)
            raise KeyboardInterrupt

    scene = write_scene(blobs((150, 140)), name="area.tif")
    model = load_model(str(tiny_model), device="cpu", runtime="torch", precision="fp32")
    spec = PredictSpec(block_px=64, tile_px=64, halo_px=8)
    with pytest.raises(KeyboardInterrupt):
        predict(scene, model, tmp_path / "one", spec=spec, blocks=BLOCKS, workers=Interrupted())
    assert not list((tmp_path / "one").rglob("*.block"))
    resumed = predict(scene, model, tmp_path / "two", spec=spec, blocks=BLOCKS)
    assert resumed.record["blocks"]["resumed"] == 2
    whole = predict(scene, model, tmp_path / "three", spec=spec)
    assert resumed.bundle.classes.read_bytes() == whole.bundle.classes.read_bytes()
    assert object_server.keys("blocks") == {}
