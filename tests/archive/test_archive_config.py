"""The configuration of an archive: data, checked whole, paths from its own folder; the examples that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import blobs
from pyproj import Transformer

from geoseg.archive.config import ArchiveConfig, ClusterClass, in_configuration
from geoseg.archive.sources.find import find_scenes
from geoseg.errors import UsageError
from geoseg.io.raster.scene import Scene

EXAMPLES = Path(__file__).resolve().parents[2] / "configs" / "archives"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_read(path: Path) -> None:
    assert ArchiveConfig.read(path).model


@pytest.mark.parametrize(
    ("city", "corner", "place"),
    [  # upper left corners as in the published world files
        ("vaihingen", (496981.0, 5420016.5), (8.96, 48.93)),
        ("potsdam", (366676.0, 5808317.9), (13.03, 52.41)),
    ],
)
def test_isprs_scenes_with_world_files_and_no_crs_are_placed_by_the_examples(
    city: str, corner: tuple[float, float], place: tuple[float, float], write_scene: Any, tmp_path: Path
) -> None:
    options = ArchiveConfig.read(EXAMPLES / f"{city}.yaml").opening.options()
    path = write_scene(blobs((60, 60)), crs=None, transform=None)
    path.with_suffix(".tfw").write_text(f"0.09\n0\n0\n-0.09\n{corner[0]}\n{corner[1]}\n")
    with Scene(str(path), options) as scene:
        west, north = scene.geobox.transform @ (0, 0)
        lon, lat = Transformer.from_crs(scene.geobox.crs, 4326, always_xy=True).transform(west, north)
    assert (lon, lat) == pytest.approx(place, abs=0.02)


def test_there_are_examples() -> None:
    assert len(list(EXAMPLES.glob("*.yaml"))) >= 4


def test_paths_are_those_of_the_files_folder(tmp_path: Path) -> None:
    text = "source: {kind: folder, path: in}\nmodel: m.safetensors\nout: ../out\npredict: {aoi: area.gpkg}\n"
    (tmp_path / "a.yaml").write_text(text)
    config = ArchiveConfig.read(tmp_path / "a.yaml")
    assert config.source.path == tmp_path / "in"
    assert config.model == str(tmp_path / "m.safetensors")
    assert config.out == tmp_path.parent / "out"
    assert config.predict.aoi == str(tmp_path / "area.gpkg")
    (tmp_path / "b.yaml").write_text("source: /data/in\nmodel: buildings-unet\nout: /data/out\nscheduler: tcp://h:1\n")
    config = ArchiveConfig.read(tmp_path / "b.yaml")
    assert (str(config.source.path), config.model, str(config.out)) == ("/data/in", "buildings-unet", "/data/out")
    assert config.scheduler == "tcp://h:1"


def test_paths_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "in").mkdir()
    (tmp_path / "real" / "in" / "a.tif").write_bytes(b"II*\0")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    (tmp_path / "a.yaml").write_text("source: link/../in\nmodel: link/../m.safetensors\nout: link/../out\n")
    config = ArchiveConfig.read(tmp_path / "a.yaml")
    real = tmp_path / "real"
    assert (config.source.path, config.model, config.out) == (real / "in", str(real / "m.safetensors"), real / "out")
    assert [ref.uri for ref in find_scenes(config)] == [str(real / "in" / "a.tif")]
    (tmp_path / "b.yaml").write_text(f"source: {{kind: objects, path: 'file://{real}/in'}}\nmodel: m\nout: out\n")
    assert [ref.uri for ref in find_scenes(ArchiveConfig.read(tmp_path / "b.yaml"))] == [str(real / "in" / "a.tif")]
    monkeypatch.chdir(real / "deep")
    config = ArchiveConfig(source="../in", model="m", out="out")
    assert (config.source.path, config.out) == (real / "in", real / "deep" / "out")
    monkeypatch.chdir(tmp_path)
    assert config.source.path.is_dir(), "wherever it is read later"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "a.tif: it has no CRS. Pass --assume-crs EPSG:code.",
            "a.tif: it has no CRS. Set opening: assume_crs: EPSG:code.",
        ),
        ("Pass a smaller --tile-px.", "Set a smaller predict: tile_px."),
        ("or pass --gsd-m to read it", "or set predict: gsd_m to read it"),
        ("Pass --bands, for example --bands 1,2,3.", "Set predict: bands, for example predict: bands: 1,2,3."),
        ("north--bands.tif: broken", "north--bands.tif: broken"),
        ("pip --unheard-of", "pip --unheard-of"),
    ],
)
def test_advice_names_keys_of_the_configuration(message: str, expected: str) -> None:
    assert in_configuration(message) == expected


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("colour: red", "colour"),
        ("workers: -1", "workers"),
        ("workers: 2\nscheduler: tcp://h:1", "workers and scheduler: give one of them"),
        ("predict: {block_px: many}", r"predict\.block_px"),
        ("on_lock: steal", "on_lock"),
        ("cluster: {name: system}", r"cluster\.name"),
        ("attempts: 0", "attempts"),
        ("version: 2", "version"),
        ("model: a\nmodel: b", "stands twice"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("a: !!python/object:os.system x", "not YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, line: str, cause: str) -> None:
    (tmp_path / "a.yaml").write_text(f"source: in\nmodel: m\nout: out\n{line}\n")
    with pytest.raises(UsageError, match=cause) as refused:
        ArchiveConfig.read(tmp_path / "a.yaml")
    assert "a.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("out", "cause"),
    [
        ("''", "out: is empty"),
        ("taken", "taken is no folder"),
        ("taken/deeper/out", "taken is no folder"),
        ("dangling", "dangling is no folder"),
        ("circle", "circle is no folder"),
        ('"a\\0b"', "is no path"),
        ("3", "out: "),
    ],
)
def test_an_output_that_can_be_no_folder_is_refused_at_once(tmp_path: Path, out: str, cause: str) -> None:
    (tmp_path / "taken").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "x")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "a.yaml").write_text(f"version: 1\nsource: in\nmodel: m\nout: {out}\n")
    with pytest.raises(UsageError) as refused:
        ArchiveConfig.read(tmp_path / "a.yaml")
    assert cause in str(refused.value)
    assert str(refused.value).count("out: ") == 1, "one fault, one message"
    assert "\n" not in str(refused.value)
    (tmp_path / "a.yaml").write_text("version: 1\nsource: in\nmodel: m\nout: new/deeper\n")
    assert ArchiveConfig.read(tmp_path / "a.yaml").out == tmp_path / "new" / "deeper"


def test_only_what_changes_a_layer_is_in_the_digest(tmp_path: Path) -> None:
    config = ArchiveConfig(source="in", model="m", out="out")
    same = [{"workers": 3}, {"out": "other"}, {"attempts": 9}, {"title": "x"}, {"opening": {"allow_vrt": True}}]
    other = [{"predict": {"blend": "taper"}}, {"predict": {"simplify_m": 1}}, {"opening": {"assume_crs": "EPSG:32632"}}]
    for changes in same:
        assert (
            ArchiveConfig(source="in", model="m", **({"out": "out"} | changes)).options_digest()
            == config.options_digest()
        )
    for changes in other:
        assert ArchiveConfig(source="in", model="m", out="out", **changes).options_digest() != config.options_digest()
    area = tmp_path / "area.geojson"
    digests = set()
    for text in ("one", "two"):
        area.write_text(text)
        digests.add(ArchiveConfig(source="in", model="m", out="out", predict={"aoi": str(area)}).options_digest())
    assert len(digests) == 2, "an area that was redrawn is another"


def test_options_of_opening_change_the_digest_only_where_they_say_something(tmp_path: Path) -> None:
    def config(opening: str) -> ArchiveConfig:
        path = tmp_path / "a.yaml"
        path.write_text(f"source: in\nmodel: buildings-unet\nout: out\nopening: {{{opening}}}\n")
        return ArchiveConfig.read(path)

    (tmp_path / "data").mkdir()
    plain = config("")
    assert plain.opening.options().alpha == "auto"
    assert plain.opening.options().vrt_root is None
    assert config("alpha: auto").options_digest() == plain.options_digest()
    assert config("vrt_root: data").options_digest() == plain.options_digest()
    assert config("vrt_root: data").opening.options().vrt_root == str(tmp_path / "data")
    said = [config("alpha: no"), config("alpha: yes"), config("nodata: 255"), config("nodata: 0")]
    assert [one.opening.options().alpha for one in said] == ["no", "yes", "auto", "auto"]
    assert [one.opening.options().nodata for one in said] == [None, None, 255, 0]
    assert len({one.options_digest() for one in (plain, *said)}) == 5
    with pytest.raises(UsageError, match="alpha"):
        config("alpha: [1]")


def test_advice_on_opening_names_keys() -> None:
    assert in_configuration("Pass --alpha no to read it.") == "Set opening: alpha: no to read it."
    assert in_configuration("Pass --vrt-root FOLDER.") == "Set opening: vrt_root: FOLDER."


def test_processes_beside_a_cluster_are_not_left_to_its_adaptive_scaling() -> None:
    """It retires workers that it did not start, and tasks for them would wait without end."""
    cluster = {"name": "dask_jobqueue.SLURMCluster", "cpu_workers": 2}
    assert ClusterClass(**cluster, scale={"jobs": 2}).cpu_workers == 2
    with pytest.raises(ValueError, match="give scale instead"):
        ClusterClass(**cluster, adapt={"maximum": 4})
