"""Contract tests of writers of polygons, to inherit for a format of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.errors import LegendError, SceneError
from geoseg.io.polygons.vector_formats import WriteSegments
from geoseg.io.polygons.vector_schema import NO_COLUMNS, VectorSchema
from geoseg.testing.segments import LEGEND, UTM, joined, plain, segments_of

_CUTS = ((0,), (0, 1, 89), (17, 18, 60), (45, 45))
_TO_7_DIGITS = 1e-7


class VectorWriterTests:
    """Laws of a writer of segments: they come back as they went in, and a file is there whole or not at all.

    Attributes:
        suffix: of the files.
        in_degrees: coordinates are stored as longitude and latitude.
        keeps_rows: each polygon is a row of the file; not so for tiles, which cut them.
        keeps_columns_without_rows: a file without polygons still has its columns and its CRS.

    Examples:
        >>> class TestMine(VectorWriterTests):
        ...     suffix = ".mine"
        ...
        ...     def writer(self, path: Path) -> WriteSegments:
        ...         return write_mine
    """

    suffix: str
    in_degrees: bool = False
    keeps_rows: bool = True
    keeps_columns_without_rows: bool = True

    def writer(self, path: Path) -> WriteSegments:
        """Override it: the writer of a file."""
        raise NotImplementedError("define the method writer")

    def read(self, path: Path) -> Any:
        """Read a file as a GeoDataFrame, by a library that is not the writer's; override it where GDAL cannot."""
        return pyogrio.read_dataframe(path, layer=pyogrio.list_layers(path)[0, 0])

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A file to write, alone in its folder."""
        return tmp_path / f"s{self.suffix}"

    def test_values_come_out_as_they_went_in(self, path: Path) -> None:
        """Geometry, codes, names and numbers are the same; what is unknown is null."""
        self._needs_rows()
        batches = [segments_of(50, 1), segments_of(0), segments_of(70, 2)]
        assert self._write(path, iter(batches)) == 120
        frame = self.read(path).sort_values("area_m2")
        expected = joined(batches)
        order = np.argsort(expected["area_m2"])
        for column in ("class_code", "area_m2", "perimeter_m", "pixels"):
            assert (frame[column].to_numpy() == expected[column][order]).all(), column
        for column in ("confidence", "confidence_min"):
            np.testing.assert_allclose(frame[column].to_numpy(float), expected[column][order], atol=1e-6)
            assert frame[column].isna().sum() == np.isnan(expected[column]).sum() > 0
        assert (frame.class_name == [LEGEND.by_code(code).name for code in frame.class_code]).all()
        geometry = geopandas.GeoSeries(expected["geometry"][order], crs=UTM)
        geometry = geometry.to_crs(4326) if self.in_degrees else geometry
        assert frame.crs.to_epsg() == geometry.crs.to_epsg()
        found, expected = frame.geometry.to_numpy(), geometry.to_numpy()
        assert shapely.equals_exact(found, expected, _TO_7_DIGITS, normalize=True).all()

    def test_further_columns_come_out_too(self, path: Path) -> None:
        """Statistics of a user's own are columns; NaN is null."""
        self._needs_rows()
        extra = np.zeros(40, [("b1_mean", "f8"), ("b1_count", "i8")])
        extra["b1_mean"] = np.where(np.arange(40) % 5, np.arange(40) / 7, np.nan)
        extra["b1_count"] = np.arange(40)
        segments = replace(segments_of(40), extra=extra)
        self._write(path, [segments[:15], segments[15:]], extra=extra.dtype)
        frame = self.read(path).sort_values("b1_count")
        np.testing.assert_array_equal(frame.b1_mean.to_numpy(float), extra["b1_mean"])
        assert (frame.b1_count.to_numpy() == np.arange(40)).all()

    def test_no_polygons_are_a_valid_empty_layer(self, path: Path) -> None:
        """A map without regions has a file too."""
        self._needs_rows()
        assert self._write(path, []) == 0
        if not path.stat().st_size:  # lines of text: no line at all
            return
        frame = self.read(path)
        assert len(frame) == 0
        if self.keeps_columns_without_rows:
            assert {"class_code", "class_name", "area_m2", "perimeter_m", "confidence", "pixels"} <= set(frame.columns)
            assert frame.crs.to_epsg() == 32645

    @pytest.mark.parametrize("cuts", _CUTS)
    def test_bytes_do_not_depend_on_batches(self, tmp_path: Path, cuts: tuple[int, ...]) -> None:
        """However polygons come in batches, the file is the same, byte for byte."""
        segments = segments_of(90)
        edges = [0, *cuts, 90]
        one, many = tmp_path / f"one{self.suffix}", tmp_path / f"many{self.suffix}"
        self._write(one, [segments])
        self._write(many, [segments[start:stop] for start, stop in pairwise(edges)])
        assert one.read_bytes() == many.read_bytes()

    def test_multipolygons_stay_what_they_are(self, path: Path) -> None:
        """Parts of a multipolygon stay together."""
        self._needs_rows()
        west = 500000 + np.arange(6) * 10.0
        south = np.full(6, 3e6)
        squares = shapely.box(west, south, west + 9, south + 9)
        pairs = shapely.multipolygons(squares, indices=[0, 0, 1, 1, 2, 2])
        self._write(path, [plain(pairs)], multi=True)
        frame = self.read(path)
        assert (frame.geom_type == "MultiPolygon").all()
        assert [len(shape.geoms) for shape in frame.geometry] == [2, 2, 2]

    def test_an_error_of_the_polygons_leaves_no_file(self, path: Path) -> None:
        """An exception of the batches reaches the caller unchanged."""

        def torn() -> Iterator[Segments]:
            yield segments_of(10)
            raise SceneError("scene.tif", "it is torn")

        with pytest.raises(SceneError, match="it is torn"):
            self._write(path, torn())
        assert not list(path.parent.iterdir())

    def test_an_error_leaves_the_old_file(self, path: Path) -> None:
        """A file that was there is replaced by a whole one or not at all."""

        def torn() -> Iterator[Segments]:
            yield segments_of(10)
            raise SceneError("scene.tif", "it is torn")

        path.write_bytes(b"the old file")
        with pytest.raises(SceneError):
            self._write(path, torn())
        assert [(file.name, file.read_bytes()) for file in path.parent.iterdir()] == [(path.name, b"the old file")]

    def test_a_code_without_a_meaning_is_refused(self, path: Path) -> None:
        """A class code that the legend has not is named."""
        with pytest.raises(LegendError, match="200"):
            self._write(path, [segments_of(50)], legend=Legend(classes=LEGEND.classes[:1]))
        assert not list(path.parent.iterdir())

    def _write(
        self,
        path: Path,
        batches: Iterable[Segments],
        *,
        legend: Legend = LEGEND,
        multi: bool = False,
        extra: np.dtype[np.void] = NO_COLUMNS,
    ) -> int:
        return self.writer(path)(path, batches, VectorSchema(crs_wkt=UTM, legend=legend, multi=multi, extra=extra))

    def _needs_rows(self) -> None:
        if not self.keeps_rows:
            pytest.skip("its polygons are cut into tiles")
