"""STAC from a stranger: links that lead astray are neither read nor asked, and odd values stop nobody."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.run import run_archive
from geoseg.archive.sources.find import find_scenes
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.errors import SceneError


@pytest.fixture
def neighbour() -> Iterator[tuple[str, list[str]]]:
    """A server of this machine that no catalogue may reach, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def item(ident: str, **changes: Any) -> dict[str, Any]:
    """An item in longitude 7 to 8, its scene beside it."""
    made = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": ident,
        "geometry": None,
        "bbox": [7.0, 50.0, 8.0, 51.0],
        "properties": {"datetime": "2021-06-01T00:00:00Z"},
        "links": [],
        "assets": {"data": {"href": "./area0.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }
    return made | changes


def written(path: Path, value: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def catalogue(path: Path, *links: tuple[str, Any]) -> Path:
    told = [{"rel": relation, "href": href} for relation, href in links]
    return written(path, {"type": "Catalog", "id": path.stem, "stac_version": "1.0.0", "links": told})


def items(path: Path, *features: dict[str, Any], **more: Any) -> Path:
    return written(path, {"type": "FeatureCollection", "features": list(features)} | more)


def found(path: Path, **source: Any) -> list[SceneRef]:
    whole = {"source": {"kind": "stac", "path": str(path), **source}, "model": "m", "out": "o"}
    return list(find_scenes(ArchiveConfig.model_validate(whole)))


def astray(make_archive: Any, tmp_path: Path, href: str, how: str, *, allow_remote: bool) -> ArchiveConfig:
    """An archive whose catalogue leads to one good item and to ``href``."""
    facts = make_archive(1).model_dump() | {"opening": {"allow_remote": allow_remote}, "attempts": 1}
    here = tmp_path / "scenes"
    written(here / "good.json", item("good"))
    if how == "self":
        features = [
            item(name, links=[{"rel": "self", "href": to}]) for name, to in (("good", "good.json"), ("x", href))
        ]
        path = items(here / "items.json", *features)
    else:
        path = catalogue(here / "catalog.json", ("item", "./good.json"), ("item", href))
    return ArchiveConfig.model_validate(facts | {"source": {"kind": "stac", "path": str(path)}})


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("allow_remote", [False, True])
@pytest.mark.parametrize("how", ["item", "self"])
def test_no_request_is_sent_to_where_a_catalogue_has_no_business(
    make_archive: Any, tmp_path: Path, neighbour: tuple[str, list[str]], how: str, allow_remote: bool
) -> None:
    address, asked = neighbour
    config = astray(make_archive, tmp_path, f"{address}/admin.json", how, allow_remote=allow_remote)
    for again in range(2):
        report = run_archive(config)
        assert asked == []
        assert (report.done, report.skipped, report.exit_code) == ((1, 0, 7) if not again else (0, 1, 0))
        (failed,) = report.known_bad if again else report.failed
        assert failed.exit_code == 3
        assert f"{address}/admin.json" in failed.cause


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("how", ["item", "self"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_no_scene_outside_a_catalogue_is_segmented(
    make_archive: Any, write_scene: Any, tmp_path: Path, how: str, scheme: str
) -> None:
    secret = tmp_path / "elsewhere" / "secret.tif"
    secret.parent.mkdir()
    secret.write_bytes(write_scene(name="area0.tif").read_bytes())
    href = f"file://{secret}" if scheme else os.path.relpath(secret, tmp_path / "scenes")
    config = astray(make_archive, tmp_path, href, how, allow_remote=False)
    report = run_archive(config)
    assert (report.done, [record.exit_code for record in report.failed]) == (1, [3])
    assert len(list(config.out.glob("*/run.json"))) == 1


def test_a_list_asks_no_server_either_before_it_may(
    make_archive: Any, tmp_path: Path, neighbour: tuple[str, list[str]]
) -> None:
    address, asked = neighbour
    config = make_archive(1)
    (tmp_path / "scenes" / "list.txt").write_text(f"area0.tif\n{address}/far.tif\n")
    source = {"kind": "list", "path": tmp_path / "scenes" / "list.txt"}
    report = run_archive(ArchiveConfig.model_validate(config.model_dump() | {"source": source}))
    assert asked == []
    assert (report.done, [record.exit_code for record in report.failed]) == (1, [2])


def test_an_item_that_is_linked_twice_is_listed_once(tmp_path: Path) -> None:
    written(tmp_path / "i.json", item("i"))
    catalogue(tmp_path / "below.json", ("item", "./i.json"))
    top = catalogue(tmp_path / "catalog.json", ("item", "./i.json"), ("item", "i.json"), ("child", "./below.json"))
    assert [ref.uri for ref in found(top)] == [str(tmp_path / "i.json")]


def test_one_item_is_a_source_too(tmp_path: Path) -> None:
    assert [ref.name for ref in found(written(tmp_path / "i.json", item("i")))] == ["i"]


@pytest.mark.parametrize(
    "odd",
    [
        {"bbox": ["a", "b", "c", "d"]},
        {"bbox": [None] * 4},
        {"bbox": 7},
        {"properties": "many"},
        {"properties": {"datetime": "yesterday"}},
        {"properties": {"datetime": 5}},
    ],
)
def test_an_item_that_does_not_say_where_or_when_is_not_taken_for_there_and_then(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    written(tmp_path / "i.json", item("i"))
    written(tmp_path / "odd.json", item("odd", **odd))
    top = catalogue(tmp_path / "catalog.json", ("item", "./odd.json"), ("item", "./i.json"))
    refs = found(top, bbox=[0, 0, 90, 90], datetime="2020-01-01/..")
    assert [ref.name for ref in refs] == ["i"]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("href", [5, "http://[bad/x.json", "a\0b", ""])
def test_a_link_that_is_none_fails_alone(make_archive: Any, tmp_path: Path, href: Any) -> None:
    report = run_archive(astray(make_archive, tmp_path, href, "item", allow_remote=True))
    assert (report.done, [record.exit_code for record in report.failed]) == (1, [3])


@pytest.mark.parametrize("allow_remote", [False, True])
def test_an_address_that_is_none_fails_alone(make_archive: Any, tmp_path: Path, allow_remote: bool) -> None:
    facts = make_archive(1).model_dump() | {"opening": {"allow_remote": allow_remote}, "attempts": 1}
    (tmp_path / "scenes" / "list.txt").write_text("http://user:secret@[bad/x.tif?token=1\narea0.tif\n")
    source = {"kind": "list", "path": tmp_path / "scenes" / "list.txt"}
    report = run_archive(ArchiveConfig.model_validate(facts | {"source": source}))
    assert (report.done, [record.exit_code for record in report.failed]) == (1, [3 if allow_remote else 2])
    assert (report.failed[0].uri, "secret" in report.failed[0].cause) == ("http://[bad/x.tif", False)


@pytest.mark.parametrize(
    "page",
    [
        {"features": 5},
        {"links": [{"rel": "next", "href": "./more.json", "method": "POST", "body": 5}]},
        {"links": [{"rel": "next", "href": "http://[bad/x"}]},
    ],
)
def test_a_page_that_is_none_is_said_so(tmp_path: Path, page: dict[str, Any]) -> None:
    items(tmp_path / "more.json")
    with pytest.raises(SceneError, match=r"items\.json"):
        found(items(tmp_path / "items.json", **page))


def test_an_item_of_a_file_that_has_no_address_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="item lonely .* has no link to itself"):
        found(items(tmp_path / "items.json", item("lonely")))
