"""What an archive's folder holds where it has no finished scene, or thousands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import geopandas
import pyarrow.parquet as pq
import pystac
import pytest
from stac_rules import validate

from geoseg.archive.publish import publish_archive
from geoseg.archive.record import SceneRecord
from geoseg.errors import UsageError


def test_an_archive_without_a_finished_scene_has_a_catalogue_and_a_report(tmp_path: Path) -> None:
    for records in (
        [],
        [SceneRecord(name="a", uri="a.tif"), SceneRecord(name="b", uri="b", state="failed", cause="x")],
    ):
        files = publish_archive(tmp_path, records)
        assert files.project is None
        assert validate(pystac.Catalog.from_file(str(files.catalogue))) == 2
        assert len(geopandas.read_parquet(files.index)) == len(records)
        assert files.report.read_text().endswith("</html>")
    with pytest.raises(UsageError, match="not there"):
        publish_archive(tmp_path / "nowhere", [])


def test_the_web_report_of_a_large_archive_stays_small_and_shows_what_failed(tmp_path: Path) -> None:
    def many() -> Iterator[SceneRecord]:
        for number in range(12_000):
            x, y = 10 + number % 120 * 0.01, 50 + number // 120 * 0.01
            ring = [[x, y], [x + 0.01, y], [x + 0.01, y + 0.01], [x, y]]
            failed = number % 1000 == 999
            yield SceneRecord(
                name=f"s{number:05d}",
                uri=f"s{number}.tif",
                state="failed" if failed else "waiting",
                cause=f"s{number}.tif: broken" if failed else "",
                footprint={"type": "Polygon", "coordinates": [ring]},
            )

    files = publish_archive(tmp_path, many())
    text = files.report.read_text()
    assert text.count("<tr id=") == 5000
    assert text.count('data-state="failed"') == 12 + 1
    assert "5,000 of 12,000 scenes are listed" in text
    assert len(text) < 5e6
    assert "| 12 | – | …: broken | s00999 |" in files.markdown.read_text()
    assert pq.ParquetFile(files.index).metadata.num_rows == 12_000
