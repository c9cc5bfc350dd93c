"""Whatever a scene is called, what an archive writes of it is found again: by pystac, by browsers, by its index."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import geopandas
import pystac
import pytest
import rasterio
from conftest import blobs
from stac_rules import validate

from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.publish import publish_archive
from geoseg.archive.report.read_records import read_records
from geoseg.archive.run import run_archive
from geoseg.run.predict import predict

ODD = ("plain", "x=1,y+2@(z)", "größe 北京", '50% no#1?\\"<b>&')


class Links(HTMLParser):
    """Keeps every link of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name == "href"]


def followed(page: Path, href: str) -> Path:
    """The file that a browser opens for a link on a page of a disk."""
    parts = urlsplit(urljoin(page.absolute().as_uri(), href))
    assert parts.scheme == "file", href
    assert not parts.query, href
    assert not parts.fragment, href
    return Path(unquote(parts.path))


def check_links(out: Path, scenes: int) -> pystac.Catalog:
    """Follow every link of an archive's catalogue, index and report; returns the catalogue."""
    root = pystac.Catalog.from_file(str(out / "catalog.json"))
    items = [item for item in root.get_items(recursive=True) if item.collection_id is not None]
    assert len({item.id for item in items}) == len(items) == scenes
    for item in items:
        item_file = Path(item.self_href)
        links = {link["rel"]: link["href"] for link in json.loads(item_file.read_text())["links"]}
        assert {"root", "parent", "collection"} <= links.keys()
        for rel in ("root", "parent", "collection"):
            assert followed(item_file, links[rel]) == (item_file.parent / links[rel]).resolve()
            assert followed(item_file, links[rel]).samefile(
                out / ("catalog.json" if rel == "root" else "collection.json")
            )
        assert item.get_collection().id == item.collection_id == "scenes"
        for key, asset in item.assets.items():
            path = Path(str(asset.get_absolute_href()))
            assert path.is_file(), "pystac finds it"
            assert followed(item_file, asset.href).samefile(path), "a browser does"
            if key in ("classes", "confidence"):
                with rasterio.open(path) as layer:
                    assert layer.count == 1
    assert validate(root) == 2 + scenes + len(list(root.get_items()))
    frame = geopandas.read_parquet(out / "scenes.parquet")
    for column in ("item", "classes", "segments", "preview"):
        assert all((out / link).is_file() for link in frame[column])
    assert all((out / link).is_dir() for link in frame.layers)
    report = out / "report.html"
    links = [href for href in Links(report).found if not href.startswith("#")]
    assert len(links) > 3 * scenes
    assert all(followed(report, href).exists() for href in links)
    return root


@pytest.fixture
def odd(make_archive: Any, write_scene: Any, tmp_path: Path) -> ArchiveConfig:
    config = make_archive(0)
    for seed, name in enumerate(ODD):
        write_scene(blobs((70, 60), seed=seed), name="new.tif").rename(tmp_path / "scenes" / f"{name}.tif")
    return config


def test_scenes_of_any_name_are_found_by_every_reader(odd: ArchiveConfig) -> None:
    report = run_archive(odd)
    assert (report.done, report.exit_code) == (len(ODD), 0)
    root = check_links(odd.out, len(ODD))
    folders = [path.name for path in odd.out.iterdir()]
    assert all(name.isascii() for name in folders)
    titles = {item.properties.get("title") for item in root.get_items(recursive=True)}
    assert {f"{name}.tif" for name in ODD} <= titles, "the true name stays"


def test_outputs_of_single_scenes_of_any_name_make_a_catalogue(odd: ArchiveConfig, tiny_model: Path) -> None:
    for path in sorted(odd.source.path.iterdir())[:3]:  # type: ignore[union-attr]
        predict(path, tiny_model, odd.out)
    before = {path: path.read_bytes() for path in odd.out.glob("*/*")}
    publish_archive(odd.out, read_records(odd.out))
    check_links(odd.out, 3)
    assert {path: path.read_bytes() for path in before} == before, "the outputs stay as they were"


def test_layers_in_folders_whose_names_are_none_for_an_address_are_linked_for_browsers(
    odd: ArchiveConfig, tiny_model: Path
) -> None:
    """Folders that were named by others: a browser needs escapes, the index plain paths."""
    layers = predict(next(iter(sorted(odd.source.path.iterdir()))), tiny_model, odd.out, name="x")  # type: ignore[union-attr]
    old = odd.out / "so #1: 5%"
    layers.bundle.directory.rename(old)
    for path in list(old.glob("x*")):
        path.rename(old / f"{old.name}{path.name[1:]}")
    publish_archive(odd.out, read_records(odd.out))
    report = odd.out / "report.html"
    assert all(followed(report, href).exists() for href in Links(report).found if not href.startswith("#"))
    (row,) = geopandas.read_parquet(odd.out / "scenes.parquet").to_dict("records")
    assert (odd.out / row["classes"]).is_file()


def test_names_without_letters_of_their_own_stay_apart(make_archive: Any, write_scene: Any) -> None:
    config = make_archive(0)
    for seed, name in enumerate(("é", "e", "É", "ê", "東京", "京東")):
        write_scene(blobs((70, 60), seed=seed), name=f"{name}.tif")
    with Archive.open(config) as archive:
        names = [ref.name for ref, _ in archive.iter_status()]
    assert len({name.lower() for name in names}) == 6
    assert "e" in names
