"""The configuration of an archive: data, checked whole, paths from its own folder; the examples that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from geoseg.archive.config import ArchiveConfig
from geoseg.errors import UsageError

EXAMPLES = Path(__file__).resolve().parents[2] / "configs" / "archives"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_read(path: Path) -> None:
    assert ArchiveConfig.read(path).model


def test_there_are_examples() -> None:
    assert len(list(EXAMPLES.glob("*.yaml"))) >= 4


def test_paths_are_those_of_the_files_folder(tmp_path: Path) -> None:
    text = "source: {kind: folder, path: in}\nmodel: m.safetensors\nout: ../out\npredict: {aoi: area.gpkg}\n"
    (tmp_path / "a.yaml").write_text(text)
    config = ArchiveConfig.read(tmp_path / "a.yaml")
    assert config.source.path == tmp_path / "in"
    assert config.model == str(tmp_path / "m.safetensors")
    assert config.out == tmp_path / ".." / "out"
    assert config.predict.aoi == str(tmp_path / "area.gpkg")
    (tmp_path / "b.yaml").write_text("source: /data/in\nmodel: buildings-unet\nout: /data/out\nscheduler: tcp://h:1\n")
    config = ArchiveConfig.read(tmp_path / "b.yaml")
    assert (str(config.source.path), config.model, str(config.out)) == ("/data/in", "buildings-unet", "/data/out")
    assert config.scheduler == "tcp://h:1"


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
