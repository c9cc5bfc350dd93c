"""Where scenes come from: folders, lists, published data sets, object stores; files that are still being written."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.sources.config import FolderSource
from geoseg.archive.sources.files import watch_scenes
from geoseg.archive.sources.find import find_scenes
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.errors import GeosegError, SceneError, UsageError

SAMPLES = Path(__file__).resolve().parents[2] / "sample_tiles"


def found(source: Any, **opening: Any) -> list[SceneRef]:
    config = ArchiveConfig.model_validate({"source": source, "model": "m", "out": "o", "opening": opening})
    return list(find_scenes(config))


def names(source: Any, **opening: Any) -> list[str]:
    return [ref.name for ref in found(source, **opening)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in ("b.tif", "a.tif", "a.jp2", "north/a.tif", "north/deep/a.tif", "notes.txt", "m.vrt", ".hidden/a.tif"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"II*\0")
    return tmp_path


def test_two_files_of_one_name_do_not_collide(tree: Path) -> None:
    refs = found({"kind": "folder", "path": tree})
    assert [Path(ref.uri).relative_to(tree).as_posix() for ref in refs] == [
        "a.jp2",
        "a.tif",
        "b.tif",
        "north/a.tif",
        "north/deep/a.tif",
    ]
    assert [ref.name for ref in refs][1:] == ["a", "b", "north--a", "north--deep--a"]


def test_names_stay_when_scenes_arrive_and_leave(tree: Path) -> None:
    before = {ref.uri: ref.name for ref in found(tree)}
    (tree / "north" / "b.tif").write_bytes(b"II*\0")
    (tree / "a.jp2").unlink()
    after = {ref.uri: ref.name for ref in found(tree)}
    assert all(after[uri] == before[uri] for uri in before.keys() & after.keys())
    assert len(after) == len(before)


def test_a_folder_is_narrowed_down(tree: Path) -> None:
    assert names({"kind": "folder", "path": tree, "recursive": False, "glob": "*.tif"}) == ["a", "b"]
    assert names({"kind": "folder", "path": tree, "glob": "north/*"}) == ["north--a", "north--deep--a"]
    assert names({"kind": "folder", "path": tree, "glob": "*.tif", "exclude": ["north/*"]}) == ["a", "b"]
    assert any(name.startswith("m.vrt") for name in names(tree, allow_vrt=True))


@pytest.mark.parametrize("by", ["", "north/up/"])
def test_the_layers_of_an_archive_are_none_of_its_scenes(tree: Path, by: str) -> None:
    before = names(tree)
    (tree / "north" / "up").symlink_to(tree)
    (tree / "deep" / "out" / "a").mkdir(parents=True)
    (tree / "deep" / "out" / "a" / "a_classes.tif").write_bytes(b"II*\0")
    config = {"source": tree, "model": "m", "out": tree / by / "deep" / "out"}
    assert [ref.name for ref in find_scenes(ArchiveConfig.model_validate(config))] == before
    with pytest.raises(UsageError, match="layers would be taken for scenes"):
        list(find_scenes(ArchiveConfig.model_validate(config | {"out": tree / by})))
    flat = {"source": {"path": tree, "recursive": False}, "out": tree / by}
    assert len(list(find_scenes(ArchiveConfig.model_validate(config | flat)))) == 3


def test_a_link_in_a_circle_ends(tree: Path) -> None:
    (tree / "north" / "up").symlink_to(tree)
    assert len(found(tree)) == 5


def test_a_list_names_files_and_addresses(tree: Path) -> None:
    (tree / "list.txt").write_text(
        "# scenes\nnorth/a.tif\n\n/data/a.tif # far\nhttps://host/x/a.tif\ns3://bucket/a.tif\n"
    )
    refs = found({"kind": "list", "path": tree / "list.txt"})
    assert [ref.uri for ref in refs] == [
        str(tree / "north/a.tif"),
        "/data/a.tif",
        "https://host/x/a.tif",
        "s3://bucket/a.tif",
    ]
    assert refs[0].name == "north--a"
    assert len({ref.name for ref in refs}) == 4


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ({"kind": "folder", "path": "absent"}, "no such folder"),
        ({"kind": "list", "path": "absent.txt"}, "cannot be read"),
        ({"kind": "vaihingen", "path": "absent"}, "top_mosaic"),
        ({"kind": "deepglobe", "path": "absent"}, "train, valid, test"),
        ({"kind": "objects", "path": "s3://bucket"}, "allow_remote"),
        ({"kind": "stac", "path": "https://host"}, "allow_remote"),
    ],
)
def test_a_source_that_is_not_there_is_said_so(source: dict[str, Any], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        found(source)


def test_vaihingen_as_published() -> None:
    refs = found({"kind": "vaihingen", "path": SAMPLES / "vaihingen"})
    assert [ref.name for ref in refs] == ["top--top_mosaic_09cm_area1", "top--top_mosaic_09cm_area2"]
    assert {ref.bands for ref in refs} == {("nir", "red", "green")}
    heights = found({"kind": "vaihingen", "path": SAMPLES / "vaihingen", "images": "dsm"})
    assert {ref.bands for ref in heights} == {("height",)}


@pytest.mark.parametrize(
    ("images", "bands"),
    [
        ("rgb", ("red", "green", "blue")),
        ("irrg", ("nir", "red", "green")),
        ("rgbir", ("red", "green", "blue", "nir")),
        ("dsm", ("height",)),
    ],
)
def test_potsdam_as_published(images: str, bands: tuple[str, ...]) -> None:
    refs = found({"kind": "potsdam", "path": SAMPLES / "potsdam", "images": images})
    assert len(refs) == 2
    assert sorted(ref.name.removesuffix(f"_{images.upper()}")[-2:] for ref in refs) == ["10", "13"]
    assert {ref.bands for ref in refs} == {bands}


def test_deepglobe_as_published() -> None:
    assert names({"kind": "deepglobe", "path": SAMPLES / "deepglobe"}) == [
        *(ref.name for ref in found({"kind": "deepglobe", "path": SAMPLES / "deepglobe", "splits": ["train"]}))
    ]
    assert len(names({"kind": "deepglobe", "path": SAMPLES / "deepglobe"})) == 2


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("land-train", "land-test"),
        ("data/training_data/images", "data/test_data/images"),
        ("training_data/images", "test_data/images"),
    ],
)
def test_deepglobe_in_every_layout_it_comes_in(train: str, test: str, tmp_path: Path) -> None:
    for folder, number in ((train, 119), (train, 855), (test, 7)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{number}_sat.jpg").write_bytes(b"\xff\xd8\xff")
        (tmp_path / folder / f"{number}_mask.png").write_bytes(b"")
    refs = found({"kind": "deepglobe", "path": tmp_path})
    assert [Path(ref.uri).name for ref in refs] == ["119_sat.jpg", "855_sat.jpg", "7_sat.jpg"]
    assert len({ref.name for ref in refs}) == 3
    only = found({"kind": "deepglobe", "path": tmp_path, "splits": ["train"]})
    assert [ref.name for ref in only] == [ref.name for ref in refs[:2]]
    itself = found({"kind": "deepglobe", "path": tmp_path / train})
    assert [ref.uri for ref in itself] == [ref.uri for ref in only]
    with pytest.raises(UsageError, match=r"land-valid, land-val, validation_data/images"):
        found({"kind": "deepglobe", "path": tmp_path, "splits": ["valid"]})


@pytest.mark.parametrize(
    ("kind", "folder", "file"),
    [
        ("vaihingen", "top", "top_mosaic_09cm_area1.tif"),
        ("vaihingen", "ISPRS_semantic_labeling_Vaihingen/top", "top_mosaic_09cm_area1.tif"),
        ("potsdam", "4_Ortho_RGBIR", "top_potsdam_2_10_RGBIR.tif"),
        ("potsdam", "4_Ortho_RGBIR/4_Ortho_RGBIR", "top_potsdam_2_10_RGBIR.tif"),
        ("potsdam", "Potsdam/4_Ortho_RGBIR", "top_potsdam_2_10_RGBIR.tif"),
    ],
)
def test_isprs_in_every_layout_it_comes_in(kind: str, folder: str, file: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / file).write_bytes(b"II*\0")
    (tmp_path / file.replace("RGBIR", "label")).write_bytes(b"II*\0")  # references lie in the root, as torchgeo has it
    assert [ref.uri for ref in found({"kind": kind, "path": tmp_path})] == [str(tmp_path / folder / file)]


def test_objects_are_listed_where_they_are(tree: Path) -> None:
    refs = found({"kind": "objects", "path": f"file://{tree}", "exclude": ["*.jp2"]})
    by_folder = found({"kind": "folder", "path": tree, "exclude": ["*.jp2"]})
    assert {(ref.name, ref.uri) for ref in refs} >= {(ref.name, ref.uri) for ref in by_folder}
    assert all(ref.stamp for ref in refs)


def test_objects_of_a_store_in_memory() -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for path in ("bucket/x/a.tif", "bucket/y/a.tif", "bucket/y/notes.txt"):
        store.pipe(f"/{path}", b"II*\0")
    refs = found({"kind": "objects", "path": "memory://bucket"}, allow_remote=True)
    assert [(ref.name, ref.uri) for ref in refs] == [
        ("x--a", "memory://bucket/x/a.tif"),
        ("y--a", "memory://bucket/y/a.tif"),
    ]
    with pytest.raises((SceneError, UsageError)) as refused:
        found({"kind": "objects", "path": "nosuch://bucket"}, allow_remote=True)
    assert isinstance(refused.value, GeosegError)


def test_a_file_that_is_being_copied_is_not_taken(tmp_path: Path) -> None:
    growing, still = tmp_path / "growing.tif", tmp_path / "still.tif"
    still.write_bytes(b"II*\0")
    growing.write_bytes(b"II")
    stop = threading.Event()
    source = FolderSource(path=tmp_path, poll_s=0.05, settle_s=0.4)
    taken: list[str] = []
    sizes: list[int] = []
    for beat, ref in enumerate(watch_scenes(source, stop)):
        if beat < 20 and "growing" not in taken:
            with growing.open("ab") as file:
                file.write(b"x")
        if ref is not None:
            taken.append(ref.name)
            sizes.append(Path(ref.uri).stat().st_size)
            if len(taken) == 2:
                growing.write_bytes(b"anew")
        if len(taken) == 3 or beat > 200:
            stop.set()
    assert taken == ["still", "growing", "growing"]
    assert sizes == [4, 22, 4], "taken when the writer had ended, and again when it was changed"
