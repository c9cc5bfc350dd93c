"""Thumbnails of the web report show imagery and map, are small, and are made once for each picture."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import LEGEND, blobs
from PIL import Image

from geoseg.archive.publish import publish_archive
from geoseg.archive.record import SceneRecord
from geoseg.archive.report.thumbnails import SIDE_PX, Picture, write_thumbnails
from geoseg.archive.report.web_report import ReportData
from geoseg.io.publish.preview import write_preview

SHAPE = (90, 120)
NAMES = ["north--a", "b", 'c "<&é']
FAILED = SceneRecord(name="broken", uri="broken.tif", state="failed", cause="broken.tif: cut short", exit_code=3)


def drawn(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Imagery, and a map of two halves with a strip that has no class."""
    codes = np.full(SHAPE, LEGEND.classes[0].code, np.uint8)
    codes[:, 60 + seed :] = LEGEND.classes[1].code
    codes[:20] = LEGEND.nodata
    return blobs(SHAPE, seed=seed), codes


def write_scene_files(out: Path, name: str, seed: int) -> SceneRecord:
    """Write preview and item of a finished scene; nothing else of it is needed."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    image, codes = drawn(seed)
    preview = folder / f"{name}_preview.png"
    write_preview(preview, image=image, codes=codes, legend=LEGEND, title=name)
    asset = {"href": f"./{preview.name}", "file:checksum": hashlib.sha256(preview.read_bytes()).hexdigest()}
    item: dict[str, Any] = {"id": name, "collection": "scenes", "bbox": [9, 48, 9.01, 48.01], "links": []}
    moment = "2026-01-01T00:00:00Z"
    item["properties"] = {"datetime": moment, "created": moment, "proj:shape": list(SHAPE)}
    item["assets"] = {"preview": asset}
    (folder / f"{name}.stac.json").write_text(json.dumps(item))
    return SceneRecord(name=name, uri=f"{name}.tif", state="done", layers=name)


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, list[SceneRecord]]:
    out = tmp_path / "out"
    records = [write_scene_files(out, name, seed) for seed, name in enumerate(NAMES)]
    publish_archive(out, [*records, FAILED])
    return out, records


class _Pictures(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs))


def pictures(out: Path) -> list[dict[str, str | None]]:
    """Attributes of the pictures of the report."""
    return _Pictures((out / "report.html").read_text()).found


def states(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each thumbnail."""
    folder = out / "_catalogue" / "thumbnails"
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_each_finished_scene_has_a_small_one_that_is_loaded_when_seen(archive: Any) -> None:
    out, records = archive
    shown = pictures(out)
    assert len(shown) == len(records) == len(states(out))
    for one in shown:
        source = str(one["src"])
        assert source.startswith("./_catalogue/thumbnails/"), "relative, so that the folder can be moved"
        assert one["loading"] == "lazy"
        assert (out / source).stat().st_size <= 20_000
        with Image.open(out / source) as picture:
            assert picture.format == "JPEG"
            assert [str(side) for side in picture.size] == [one["width"], one["height"]]
    text = (out / "report.html").read_text()
    assert str(out.parent) not in text
    assert "broken.tif: cut short" in text


def test_its_halves_are_the_imagery_and_the_map(archive: Any) -> None:
    out, _ = archive
    image, codes = drawn(1)
    page = (out / "report.html").read_text()
    source = page[page.index('href="./b/b_preview.png"><img') :].partition('src="./')[2].partition('"')[0]
    with Image.open(out / source) as picture:
        shown = np.asarray(picture.convert("RGB")).astype(int)
    height, half = shown.shape[0], (shown.shape[1] - 4) // 2
    rows = ((np.arange(height) + 0.5) * SHAPE[0] / height).astype(int)
    cols = ((np.arange(half) + 0.5) * SHAPE[1] / half).astype(int)
    seen, right = codes[rows][:, cols], shown[:, -half:]
    for entry in LEGEND.classes[:2]:
        there = seen == entry.code
        assert there.sum() > 100
        assert np.abs(np.median(right[there], axis=0) - entry.rgb).max() < 12, entry.name
    expected = image.mean(axis=0)[rows][:, cols]
    assert np.corrcoef(shown[:, :half].mean(axis=2).ravel(), expected.ravel())[0, 1] > 0.8


def test_a_changed_scene_gets_a_new_one_and_the_others_keep_theirs(archive: Any) -> None:
    out, records = archive
    before = states(out)
    publish_archive(out, [*records, FAILED])
    assert states(out) == before, "nothing is written again"
    write_scene_files(out, "b", seed=9)
    publish_archive(out, [*records, FAILED])
    after = states(out)
    assert len(set(before) - set(after)) == 1, "the old one is gone"
    assert len(before.items() & after.items()) == len(before) - 1
    publish_archive(out, records[:1])
    assert len(pictures(out)) == len(states(out)) == 1


def test_the_same_archive_has_the_same_bytes_elsewhere(archive: Any, tmp_path: Path) -> None:
    out, records = archive
    copy = Path(shutil.copytree(out, tmp_path / "copy" / "out"))
    shutil.rmtree(copy / "_catalogue" / "thumbnails")
    for path in copy.rglob("*_preview.png"):
        os.utime(path, (1, 1))
    publish_archive(copy, [*records, FAILED])
    assert (copy / "report.html").read_bytes() == (out / "report.html").read_bytes()
    assert states(copy).keys() == states(out).keys()
    for name in states(out):
        thumbnail = Path("_catalogue", "thumbnails", name)
        assert (copy / thumbnail).read_bytes() == (out / thumbnail).read_bytes()


def test_one_that_was_cut_short_is_made_again(archive: Any) -> None:
    out, records = archive
    path = min((out / "_catalogue" / "thumbnails").iterdir())
    whole = path.read_bytes()
    for damage in (b"", whole[:1], whole[: len(whole) // 2]):
        path.write_bytes(damage)
        publish_archive(out, records)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "no picture", "another picture", "folder"])
def test_a_scene_whose_preview_is_gone_or_damaged_has_none(archive: Any, damage: str) -> None:
    out, records = archive
    shutil.rmtree(out / "_catalogue" / "thumbnails")
    preview = out / "b" / "b_preview.png"
    whole = preview.read_bytes()
    preview.unlink()
    content = {"empty": b"", "cut": whole[: len(whole) // 2], "no picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 40}
    if damage in content:
        preview.write_bytes(content[damage])
    elif damage == "another picture":
        Image.new("RGB", (30, 20)).save(preview)
    elif damage == "folder":
        preview.mkdir()
    publish_archive(out, records)
    assert len(pictures(out)) == len(records) - 1
    assert "b.stac.json" in (out / "report.html").read_text()


@pytest.mark.parametrize("facts", [{"proj:shape": None}, {"proj:shape": [0, 3]}, {"proj:shape": ["9", 3]}, {}])
def test_an_item_that_tells_no_size_gives_none(archive: Any, facts: dict[str, Any]) -> None:
    out, records = archive
    item = json.loads((out / "b" / "b.stac.json").read_text())
    del item["properties"]["proj:shape"]
    item["properties"] |= facts
    (out / "b" / "b.stac.json").write_text(json.dumps(item))
    publish_archive(out, records)
    assert len(pictures(out)) == len(records) - 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2500, 3), (96, 96), (1023, 400), (1025, 1025), (5000, 3100)])
def test_it_is_cut_from_the_preview_of_a_scene_of_any_shape(shape: tuple[int, int], tmp_path: Path) -> None:
    step = max(1, -(-max(shape) // 1024))
    codes = np.zeros((-(-shape[0] // step), -(-shape[1] // step)), np.uint8)  # every step-th row and column
    image = np.full((3, *codes.shape), 200, np.uint8)
    write_preview(tmp_path / "p.png", image=image, codes=codes, legend=LEGEND, title="x")
    picture = Picture(preview="p.png", checksum="", shape=shape)
    (made,) = write_thumbnails(tmp_path, tmp_path / "thumbs", [picture]).values()
    with Image.open(made.path) as shown:
        assert shown.size == made.size
        assert max((shown.width - 4) // 2, shown.height) == SIDE_PX
        pixels = np.asarray(shown.convert("RGB")).astype(int)
    half = (made.size[0] - 4) // 2
    assert np.abs(pixels[:, : max(1, half - 2)] - 200).max() < 25
    assert np.abs(pixels[:, -max(1, half - 2) :] - LEGEND.classes[0].rgb).max() < 25


def test_noise_is_kept_below_the_limit(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (3, 900, 900), dtype=np.uint8)
    for size in (96, 900):
        image = noise[:, :size, :size]
        write_preview(tmp_path / "p.png", image=image, codes=image[0] % 2, legend=LEGEND, title="x")
        picture = Picture(preview="p.png", checksum=str(size), shape=(size, size))
        (made,) = write_thumbnails(tmp_path, tmp_path / "thumbs", [picture]).values()
        assert made.path.stat().st_size <= 20_000


def test_no_more_are_made_than_the_page_has_rows(archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out, records = archive
    shutil.rmtree(out / "_catalogue" / "thumbnails")
    monkeypatch.setattr("geoseg.archive.publish.ReportData", lambda: ReportData(most=2))
    publish_archive(out, [*records, FAILED])
    assert len(pictures(out)) == len(states(out)) == 1, "one of two rows is a failed scene"


def test_a_report_without_pictures_has_no_column_for_them(tmp_path: Path) -> None:
    publish_archive(tmp_path, [FAILED])
    text = (tmp_path / "report.html").read_text()
    assert "<img" not in text
    assert "Image, map" not in text
