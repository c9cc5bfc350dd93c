"""What holds for segments in every format: they come back as they went in, whole or not at all."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from sample_segments import LEGEND, UTM, joined, plain, segments_of

from geoseg.core.legend import Legend
from geoseg.errors import SceneError, UsageError, WriteError
from geoseg.io.polygons.vector_formats import VECTOR_SUFFIXES, write_vectors, writer_for
from geoseg.io.publish.style_file import style_path

INTERRUPTED = Path(__file__).with_name("interrupted_writer.py")
WHOLE = [suffix for suffix in VECTOR_SUFFIXES if suffix != ".pmtiles"]
IN_DEGREES = [".geojson", ".geojsonl", ".pmtiles"]
IN_CRS = [suffix for suffix in WHOLE if suffix not in IN_DEGREES]


def read(path):
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return pyogrio.read_dataframe(path, layer=pyogrio.list_layers(path)[0, 0])


@pytest.fixture(params=VECTOR_SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"s{request.param}"


@pytest.fixture(params=WHOLE)
def whole_path(request, tmp_path):
    return tmp_path / f"s{request.param}"


def test_what_went_in_comes_out(whole_path):
    batches = [segments_of(50, 1), segments_of(0), segments_of(70, 2)]
    assert write_vectors(whole_path, iter(batches), crs_wkt=UTM, legend=LEGEND) == 120
    frame = read(whole_path).sort_values("area_m2")
    expected = joined(batches)
    order = np.argsort(expected["area_m2"])
    for column in ("class_code", "area_m2", "perimeter_m", "pixels"):
        assert (frame[column].to_numpy() == expected[column][order]).all()
    for column in ("confidence", "confidence_min"):
        np.testing.assert_allclose(frame[column].to_numpy(float), expected[column][order], atol=1e-6)
        assert frame[column].isna().sum() == np.isnan(expected[column]).sum() > 0
    assert (frame.class_name == [LEGEND.by_code(code).name for code in frame.class_code]).all()
    geometry = geopandas.GeoSeries(expected["geometry"][order], crs=UTM)
    if whole_path.suffix in IN_DEGREES:
        geometry = geometry.to_crs(4326)
    assert frame.crs.to_epsg() == geometry.crs.to_epsg()
    same = shapely.equals_exact(frame.geometry.to_numpy(), geometry.to_numpy(), 1e-7, normalize=True)
    assert same.all()


def test_columns_beyond_the_usual_ones_come_out_too(whole_path):
    extra = np.zeros(40, [("b1_mean", "f8"), ("b1_count", "i8")])
    extra["b1_mean"] = np.where(np.arange(40) % 5, np.arange(40) / 7, np.nan)
    extra["b1_count"] = np.arange(40)
    segments = replace(segments_of(40), extra=extra)
    write_vectors(whole_path, [segments[:15], segments[15:]], crs_wkt=UTM, legend=LEGEND, extra=extra.dtype)
    frame = read(whole_path).sort_values("b1_count")
    np.testing.assert_array_equal(frame.b1_mean.to_numpy(float), extra["b1_mean"])
    assert (frame.b1_count.to_numpy() == np.arange(40)).all()


def test_an_empty_map_is_a_valid_empty_layer(whole_path):
    assert write_vectors(whole_path, [], crs_wkt=UTM, legend=LEGEND) == 0
    if whole_path.suffix == ".geojsonl":
        assert whole_path.read_bytes() == b""  # no line at all
        return
    frame = read(whole_path)
    assert len(frame) == 0
    if whole_path.suffix != ".geojson":  # which has no place for columns without rows
        assert {"class_code", "class_name", "area_m2", "perimeter_m", "confidence", "pixels"} <= set(frame.columns)
        assert frame.crs.to_epsg() == 32645


@given(cuts=st.sets(st.integers(0, 90), max_size=6))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_the_bytes_do_not_depend_on_how_polygons_come_in_batches(tmp_path, suffix, cuts):
    segments = segments_of(90)
    edges = [0, *sorted(cuts), 90]
    batches = [segments[start:stop] for start, stop in pairwise(edges)]
    one, many = tmp_path / f"one{suffix}", tmp_path / f"many{suffix}"
    if not one.exists():
        write_vectors(one, [segments], crs_wkt=UTM, legend=LEGEND)
    write_vectors(many, batches, crs_wkt=UTM, legend=LEGEND)
    assert one.read_bytes() == many.read_bytes()


def test_multipolygons_stay_what_they_are(whole_path):
    west = 500000 + np.arange(6) * 10.0
    squares = shapely.box(west, 3e6, west + 9, 3e6 + 9)
    pairs = shapely.multipolygons(squares, indices=[0, 0, 1, 1, 2, 2])
    write_vectors(whole_path, [plain(pairs)], crs_wkt=UTM, legend=LEGEND, multi=True)
    frame = read(whole_path)
    assert (frame.geom_type == "MultiPolygon").all()
    assert [len(shape.geoms) for shape in frame.geometry] == [2, 2, 2]


def test_an_unknown_suffix_is_refused_before_anything_is_read(tmp_path):
    batches = iter([segments_of(3)])
    for name in ("s.shp", "s", "s.json"):
        with pytest.raises(UsageError, match=r"\.gpkg, \.fgb, \.parquet, \.geojson, \.geojsonl, \.pmtiles") as caught:
            write_vectors(tmp_path / name, batches, crs_wkt=UTM, legend=LEGEND)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert len(next(batches)) == 3
    assert not list(tmp_path.iterdir())


def test_a_suffix_may_be_in_capitals(tmp_path):
    write_vectors(tmp_path / "S.GeoJSON", [segments_of(3)], crs_wkt=UTM, legend=LEGEND)
    assert len(read(tmp_path / "S.GeoJSON")) == 3


@pytest.mark.parametrize("missing", ["pmtiles", "mapbox_vector_tile"])
def test_a_missing_library_is_told_with_what_to_install(tmp_path, monkeypatch, missing):
    gone = ("geoseg.io.polygons.pmtiles", "geoseg.io.polygons.vector_tile", "pmtiles", "mapbox_vector_tile")
    for name in [name for name in sys.modules if name.startswith(gone)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=r"pip install 'geoseg\[pmtiles\]'"):
        writer_for(tmp_path / "s.pmtiles")


@pytest.mark.parametrize("suffix", IN_CRS)
@pytest.mark.parametrize("wkt", [None, 'LOCAL_CS["site",UNIT["metre",1]]', CRS.from_user_input("ESRI:54009").to_wkt()])
def test_any_crs_or_none_is_kept(tmp_path, suffix, wkt):
    path = tmp_path / f"s{suffix}"
    write_vectors(path, [segments_of(3)], crs_wkt=wkt, legend=LEGEND)
    crs = read(path).crs
    assert (crs is None) == (wkt is None)
    if wkt is not None and not wkt.startswith("LOCAL"):
        assert crs.equals(CRS.from_wkt(wkt))


@pytest.mark.parametrize("suffix", IN_DEGREES)
@pytest.mark.parametrize(
    "wkt", [None, 'LOCAL_CS["site",UNIT["metre",1]]', CRS.from_user_input("IAU_2015:30100").to_wkt()]
)
def test_longitudes_cannot_be_made_of_nothing(tmp_path, suffix, wkt):
    batches = iter([segments_of(3)])
    with pytest.raises(UsageError, match=r"--assume-crs, or write \.gpkg") as caught:
        write_vectors(tmp_path / f"s{suffix}", batches, crs_wkt=wkt, legend=LEGEND)
    assert "\n" not in str(caught.value)
    assert len(next(batches)) == 3
    assert not list(tmp_path.iterdir())


def test_an_error_while_polygons_are_made_comes_through_as_it_is(path):
    def batches():
        yield segments_of(10)
        raise SceneError("scene.tif", "it is torn")

    with pytest.raises(SceneError, match="it is torn"):
        write_vectors(path, batches(), crs_wkt=UTM, legend=LEGEND)
    assert not list(path.parent.iterdir())


def test_a_code_without_a_meaning_is_refused(path):
    other = Legend(classes=[LEGEND.classes[0]])
    with pytest.raises(KeyError, match="200"):
        write_vectors(path, [segments_of(50)], crs_wkt=UTM, legend=other)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("name", ["a b%20é漢'\"&#?:|", "a!b\nc"])
def test_odd_file_names_work(path, name):
    folder = path.parent / name
    folder.mkdir()
    target = folder / f"{name}{path.suffix}"
    write_vectors(target, [segments_of(3)], crs_wkt=UTM, legend=LEGEND)
    write_vectors(path, [segments_of(3)], crs_wkt=UTM, legend=LEGEND)
    style = style_path(target)
    assert {file.name for file in folder.iterdir()} == {target.name} | ({style.name} if style else set())
    assert target.read_bytes() == path.read_bytes()


def spoil(monkeypatch, path, damage):
    """Damage the part when it is finished, before it is checked."""
    module = sys.modules[writer_for(path).__module__]
    whole_file = module.whole_file

    @contextmanager
    def spoilt(target, *, verify):
        def look(part):
            damage(part)
            verify(part)

        with whole_file(target, verify=look) as part:
            yield part

    monkeypatch.setattr(module, "whole_file", spoilt)


def test_a_file_cut_short_never_takes_the_name(path, monkeypatch):
    spoil(monkeypatch, path, lambda part: part.write_bytes(part.read_bytes()[: part.stat().st_size * 2 // 3]))
    with pytest.raises(WriteError, match="cannot be written"):
        write_vectors(path, [segments_of(3000)], crs_wkt=UTM, legend=LEGEND)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("suffix", [".parquet", ".geojson", ".geojsonl", ".pmtiles"])
@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_a_flipped_byte_never_takes_the_name(tmp_path, monkeypatch, suffix, where):
    def flip(part):
        raw = bytearray(part.read_bytes())
        raw[int(len(raw) * where)] ^= 1
        part.write_bytes(raw)

    path = tmp_path / f"s{suffix}"
    path.write_bytes(b"the old file")
    spoil(monkeypatch, path, flip)
    with pytest.raises(WriteError, match="cannot be written"):
        write_vectors(path, [segments_of(3000)], crs_wkt=UTM, legend=LEGEND)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"the old file")]


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_its_own_only(path):
    path.write_bytes(b"the old file")
    command = [sys.executable, str(Path(__file__).with_name("killed_writer.py")), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"the old file"
    write_vectors(path, [segments_of(3)], crs_wkt=UTM, legend=LEGEND)
    style = style_path(path)
    assert {file.name for file in path.parent.iterdir()} == {path.name} | ({style.name} if style else set())


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_inside_arrows_stream_is_no_failure_of_the_file(tmp_path, suffix, number):
    """In a process of its own, as an interrupted command is."""
    command = [sys.executable, str(INTERRUPTED), str(tmp_path / f"s{suffix}"), str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Stop\n", done.stderr
    assert not list(tmp_path.iterdir())
