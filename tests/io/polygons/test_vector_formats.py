"""What holds for segments in every format: they come back as they went in, whole or not at all."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import geopandas
import pyarrow as pa
import pyogrio
import pytest
from pyproj import CRS

from geoseg.errors import SceneError, UsageError, WriteError
from geoseg.io.polygons.ogr_file import arrow_stream
from geoseg.io.polygons.registry import VECTOR_SUFFIXES
from geoseg.io.polygons.vector_formats import write_vectors, writer_for
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.style_file import style_path
from geoseg.testing.segments import LEGEND, UTM, segments_of
from geoseg.testing.vector_writers import VectorWriterTests

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


class Shipped(VectorWriterTests):
    def writer(self, path):
        return writer_for(path)


class TestGeoPackage(Shipped):
    suffix = ".gpkg"


class TestFlatGeobuf(Shipped):
    suffix = ".fgb"


class TestGeoParquet(Shipped):
    suffix = ".parquet"

    def read(self, path):
        return geopandas.read_parquet(path)


class TestGeoJson(Shipped):
    suffix = ".geojson"
    in_degrees = True
    keeps_columns_without_rows = False


class TestGeoJsonLines(Shipped):
    suffix = ".geojsonl"
    in_degrees = True


class TestPmtiles(Shipped):
    suffix = ".pmtiles"
    keeps_rows = False


def test_every_format_is_tested():
    assert {kind.suffix for kind in Shipped.__subclasses__()} == set(VECTOR_SUFFIXES)


def test_an_unknown_suffix_is_refused_before_anything_is_read(tmp_path):
    batches = iter([segments_of(3)])
    for name in ("s.shp", "s", "s.json"):
        with pytest.raises(UsageError, match=r"\.gpkg, \.fgb, \.parquet, \.geojson, \.geojsonl, \.pmtiles") as caught:
            write_vectors(tmp_path / name, batches, VectorSchema(crs_wkt=UTM, legend=LEGEND))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert len(next(batches)) == 3
    assert not list(tmp_path.iterdir())


def test_a_suffix_may_be_in_capitals(tmp_path):
    write_vectors(tmp_path / "S.GeoJSON", [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
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
    write_vectors(path, [segments_of(3)], VectorSchema(crs_wkt=wkt, legend=LEGEND))
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
        write_vectors(tmp_path / f"s{suffix}", batches, VectorSchema(crs_wkt=wkt, legend=LEGEND))
    assert "\n" not in str(caught.value)
    assert len(next(batches)) == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b%20é漢'\"&#?:|", "a!b\nc"])
def test_odd_file_names_work(path, name):
    folder = path.parent / name
    folder.mkdir()
    target = folder / f"{name}{path.suffix}"
    write_vectors(target, [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    write_vectors(path, [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
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


@pytest.mark.slow_after(2)
def test_a_file_cut_short_never_takes_the_name(path, monkeypatch):
    spoil(monkeypatch, path, lambda part: part.write_bytes(part.read_bytes()[: part.stat().st_size * 2 // 3]))
    with pytest.raises(WriteError, match="cannot be written"):
        write_vectors(path, [segments_of(3000)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    assert not list(path.parent.iterdir())


@pytest.mark.slow_after(4)
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
        write_vectors(path, [segments_of(3000)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"the old file")]


@pytest.mark.slow_after(2)
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_its_own_only(path):
    path.write_bytes(b"the old file")
    command = [sys.executable, str(Path(__file__).with_name("killed_writer.py")), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"the old file"
    write_vectors(path, [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    style = style_path(path)
    assert {file.name for file in path.parent.iterdir()} == {path.name} | ({style.name} if style else set())


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_inside_arrows_stream_is_no_failure_of_the_file(tmp_path, suffix, number):
    """In a process of its own, as an interrupted command is."""
    command = [sys.executable, str(INTERRUPTED), str(tmp_path / f"s{suffix}"), str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Stop\n", done.stderr
    assert not list(tmp_path.iterdir())


class _Stop(BaseException):
    """As a signal handler raises it."""


@pytest.mark.parametrize("error", [_Stop(), KeyboardInterrupt(), SceneError("a.tif", "it cannot be read.")])
@pytest.mark.parametrize("before", [0, 2])
def test_no_exception_crosses_arrow_s_stream(error, before):
    """C code sees the stream end; who wrote sees the exception itself."""
    schema = pa.schema([("a", pa.int64())])

    def batches():
        for number in range(before):
            yield pa.record_batch([pa.array([number])], schema=schema)
        raise error

    seen = []
    with pytest.raises(type(error)) as raised, arrow_stream(schema, batches()) as arrow:
        seen += pa.RecordBatchReader.from_stream(arrow).read_all()["a"].to_pylist()
    assert raised.value is error
    assert seen == list(range(before))


def test_a_writer_that_stops_reading_fails_with_its_own_error():
    def batches():
        yield from [pa.record_batch({"a": [1]})] * 3

    schema = pa.schema([("a", pa.int64())])
    with pytest.raises(OSError, match="no room"), arrow_stream(schema, batches()) as arrow:  # noqa: PT012 - same
        arrow.read_next_batch()
        raise RuntimeError("no room")
