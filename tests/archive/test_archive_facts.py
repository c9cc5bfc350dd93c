"""Totals, maps and words of the reports: what is counted adds up, what is drawn lies where it is."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.catalogue import around
from geoseg.archive.report.facts import Facts
from geoseg.archive.report.formatting import area, duration, share
from geoseg.archive.report.history import add_to_history, changes, read_history
from geoseg.archive.report.summary import report_markdown
from geoseg.archive.report.web_map import Footprint, View, draw_footprints, draw_map, places, rings_of
from geoseg.errors import WriteError

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
NAMES = st.text(st.characters(), min_size=1, max_size=12)


@st.composite
def records(draw: st.DrawFn) -> SceneRecord:
    state = draw(st.sampled_from(["done", "failed", "running", "waiting"]))
    areas = draw(st.dictionaries(st.sampled_from(["roof", "tree | x", "wasser"]), st.floats(0, 1e9), max_size=3))
    seconds = draw(st.floats(0, 1e6))
    return SceneRecord(
        name=draw(NAMES),
        uri=draw(NAMES),
        state=state,
        cause=draw(NAMES) if state == "failed" else "",
        class_areas_m2=areas,
        valid_pixels=draw(st.integers(0, 10**9)),
        timings={"predict_s": seconds},
        started=NOW,
        finished=NOW + timedelta(seconds=seconds),
        attempts=draw(st.integers(0, 3)),
    )


@given(st.lists(records(), max_size=12))
def test_totals_are_sums_over_finished_scenes_in_any_order(scenes: list[SceneRecord]) -> None:
    facts, backwards = Facts.of(scenes), Facts.of(reversed(scenes))
    done = [scene for scene in scenes if scene.state == "done"]
    assert facts.scenes == len(scenes)
    assert facts.states == backwards.states
    assert facts.area_m2 == pytest.approx(sum(sum(scene.class_areas_m2.values()) for scene in done))
    assert facts.valid_pixels == sum(scene.valid_pixels for scene in done)
    assert sum(cause.count for cause in facts.causes.values()) == facts.states["failed"]
    assert sum(facts.seconds) == pytest.approx(facts.stages_s.get("predict", 0.0), abs=1e-4)


@given(st.lists(records(), max_size=8), NAMES)
def test_no_name_breaks_a_table_of_the_short_report(scenes: list[SceneRecord], title: str) -> None:
    lines = report_markdown(iter(scenes), title=title).split("\n")
    columns = 0
    for line in lines:
        bars = line.replace("\\\\", "").replace("\\|", "").count("|")
        assert bars == 0 or columns in (0, bars), line
        columns = bars
    assert lines[0].startswith("# ")


def test_causes_that_differ_in_names_only_are_one() -> None:
    scenes = [
        SceneRecord(
            name=f"n--a{i}", uri=f"/in/n/a{i}.tif", state="failed", cause=f"/in/n/a{i}.tif: no CRS", exit_code=3
        )
        for i in range(5)
    ]
    (cause,) = Facts.of(scenes).causes.values()
    assert (cause.text, cause.count, cause.exit_code, cause.example) == ("…: no CRS", 5, 3, "n--a0")
    many = (SceneRecord(name="x", uri="y", state="failed", cause=f"cause {i}") for i in range(1000))
    facts = Facts.of(many)
    assert len(facts.causes) <= 201
    assert sum(cause.count for cause in facts.causes.values()) == 1000


LONGITUDES = st.integers(-180, 179)


@given(st.lists(st.tuples(LONGITUDES, st.integers(0, 100)), min_size=1, max_size=6))
def test_the_stretch_around_spans_is_the_shortest_that_holds_them(spans: list[tuple[int, int]]) -> None:
    boxes = [(float(west), float((west + width + 180) % 360 - 180)) for west, width in spans]
    west, east = around(boxes)
    covered = {(start + k) % 360 for start, width in spans for k in range(width + 1)}
    free = 0  # the longest run of degrees that nobody covers, counted the plain way
    for start in range(360):
        run = 0
        while run < 360 and (start + run) % 360 not in covered:
            run += 1
        free = max(free, run)
    length = 360.0 if (west, east) == (-180.0, 180.0) else (east - west) % 360
    # between whole degrees that are covered, n that are not are a gap of n + 1
    assert length == (360 - (free + 1) if free else 360) or (free == 0 and length >= 359)
    for start, width in spans:
        assert length == 360 or (start - west) % 360 + width <= length


@given(
    st.lists(st.tuples(st.floats(-179, 178), st.floats(-80, 79), st.floats(1e-4, 1), st.floats(1e-4, 1)), min_size=1)
)
def test_every_footprint_lies_in_the_picture(boxes: list[tuple[float, float, float, float]]) -> None:
    found = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    view = View.of(found, 1000, 500)
    for west, south, east, north in found:
        assert -1 <= view.x(west) <= view.width + 1
        assert -1 <= view.x(west) + (east - west) * view.px_per_degree * view.squeeze <= view.width + 1
        assert -1 <= view.y(north) <= view.y(south) <= view.height + 1


def square(x: float, y: float, side: float, state: str = "done") -> Footprint:
    ring = ((x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y))
    return Footprint(rings=(ring,), state=state, title=f"<{x}>", anchor=f"s{x}")


@pytest.mark.parametrize("lat", [-60.0, 0.0, 47.0])
def test_the_scale_bar_is_as_long_as_it_says(lat: float) -> None:
    view = View.of([(10.0, lat, 10.1, lat + 0.05)], 1000, 500)
    drawn = draw_map(view, [], label="x")
    bar = float(drawn.split("v5h")[1].split("v")[0])
    words = drawn.split('text-anchor="middle">')[-1].split("<")[0].split()
    metres = float(words[0]) * {"km": 1000, "m": 1}[words[1]]
    degrees = bar / view.px_per_degree / view.squeeze
    middle = view.north - view.height / 2 / view.px_per_degree
    assert Geod(ellps="sphere").inv(10, middle, 10 + degrees, middle)[2] == pytest.approx(metres, rel=0.02)


def test_across_the_antimeridian_neighbours_are_neighbours() -> None:
    both = [square(179.98, 0, 0.01), square(-179.99, 0, 0.01)]
    view = View.of([one.box for one in both], 1000, 500)
    first, second = (view.x(one.box[0]) for one in both)
    assert 0 < second - first < 1000
    geometry = {"type": "MultiPolygon", "coordinates": [[[[179.9, 0], [180, 0], [180, 1], [179.9, 0]]]] * 2}
    assert len(rings_of(geometry)) == 2
    assert rings_of(None) == rings_of({"type": "Point", "coordinates": [1, 2]}) == ()


def test_groups_too_small_to_see_get_maps_of_their_own_and_others_do_not() -> None:
    far = [square(10 + i * 0.01, 50, 0.009) for i in range(5)] + [square(80 + i * 0.01, 20, 0.009) for i in range(3)]
    view = View.of([one.box for one in far], 1000, 500)
    assert [len(group) for group in places(far, view, 6)] == [5, 3]
    near = far[:5]
    close = View.of([one.box for one in near], 1000, 500)
    assert places(near, close, 6) == []
    drawn = list(draw_footprints(close, near))
    assert all("<path" in one and "&lt;" in one for one in drawn)
    assert all("<circle" in one for one in draw_footprints(view, far))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (12.4, "12 s"), (59.7, "1 min 00 s"), (3599.6, "1 h 00 min"), (2e5, "2 d 8 h")],
)
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_areas_keep_the_unit_of_the_largest_beside_them() -> None:
    assert area(99_970) == "10.00 ha"
    assert area(99_970, 1.2e6) == "0.10 km²"
    assert area(12.3) == "12 m²"
    assert share(1, 1e6) == "< 0.1 %"
    assert share(0, 10) == "0.0 %"
    assert share(0, 0) == "–"


def test_causes_that_differ_in_numbers_only_are_one_and_a_single_one_keeps_them() -> None:
    def failed(name: str, cause: str) -> SceneRecord:
        return SceneRecord(name=name, uri=f"/in/{name}.tif", state="failed", cause=cause, exit_code=3)

    one = Facts.of([failed("north", "rows 0-512, columns 64-128 cannot be decoded (LZW)")])
    assert [cause.text for cause in one.causes.values()] == ["rows 0-512, columns 64-128 cannot be decoded (LZW)"]
    some = [failed(f"north{i}", f"rows {i}-{i + 512}, columns 0-9 cannot be decoded (LZW)") for i in range(7)]
    (cause,) = Facts.of([*some, failed("south", "rows 1-2, columns 3-4 cannot be decoded (LZW)")]).causes.values()
    assert (cause.text, cause.count) == ("rows …-…, columns …-… cannot be decoded (LZW)", 8)
    assert len(Facts.of([failed("north", "EPSG4326 is not"), failed("south", "EPSG3857 is not")]).causes) == 2, (
        "names stay"
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "n--", "n--x--"]), st.sampled_from(["", "2026-05-04", "2025-01-31T00:00:00Z"]))
    )
)
def test_areas_of_folders_and_of_months_add_up_to_the_whole(scenes: list[tuple[str, str]]) -> None:
    records = [
        SceneRecord(name=f"{folder}s{i}", uri="u", time=time, state="done", class_areas_m2={"a": i + 1.0, "b": 2.0})
        for i, (folder, time) in enumerate(scenes)
    ]
    facts = Facts.of(records)
    assert sum(group.area_m2 for group in facts.groups.folders.values()) == pytest.approx(facts.area_m2)
    assert {name: group.scenes for name, group in facts.groups.folders.items()} == dict(
        Counter(folder.removesuffix("--").replace("--", "/") for folder, _ in scenes)
    )
    dated = [record for record in records if record.time]
    assert sum(group.scenes for group in facts.groups.months.values()) == len(dated)
    assert facts.groups.months.keys() == {record.time[:7] for record in dated}


def test_the_history_has_a_line_for_each_run_that_changed_something(tmp_path: Path) -> None:
    def facts(done: int) -> Facts:
        return Facts.of(
            SceneRecord(name=f"s{i}", uri="u", state="done", class_areas_m2={"a": 1.0}) for i in range(done)
        )

    assert add_to_history(tmp_path, facts(1)) == []
    assert list(tmp_path.iterdir()) == [], "a folder that is no archive gets none"
    (tmp_path / ".geoseg").mkdir()
    for done in (1, 2, 2, 3):
        history = add_to_history(tmp_path, facts(done))
    with (tmp_path / ".geoseg" / "history.jsonl").open("a") as file:
        file.write('{"when": 3}\nnot JSON\n')
    assert [moment.done for moment in history] == [1, 2, 3] == [moment.done for moment in read_history(tmp_path)]
    assert [(now.done, before and before.done) for now, before in changes(history)] == [(3, 2), (2, 1), (1, None)]


def test_a_history_keeps_its_lines_whole_when_a_write_fails_and_after_half_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(done: int) -> Facts:
        return Facts.of(SceneRecord(name=f"s{i}", uri="u", state="done") for i in range(done))

    file = tmp_path / ".geoseg" / "history.jsonl"
    file.parent.mkdir()
    add_to_history(tmp_path, facts(1))
    first = file.read_bytes()
    file.write_bytes(b'{"later": 1}\n' + first + b'\xff\n{"when": "20')  # half a line at the end
    before = file.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(WriteError, match="No space left"):
            add_to_history(tmp_path, facts(2))
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
    assert [moment.done for moment in add_to_history(tmp_path, facts(2))] == [1, 2]
    assert file.read_bytes().startswith(b'{"later": 1}\n' + first)
    lines = file.read_bytes().splitlines()
    assert [json.loads(line).get("done") for line in lines] == [None, 1, 2]


def _done(count: int) -> Facts:
    return Facts.of(SceneRecord(name=f"s{i}", uri="u", state="done") for i in range(count))


def test_a_history_keeps_its_last_thousand_lines(tmp_path: Path) -> None:
    file = tmp_path / ".geoseg" / "history.jsonl"
    file.parent.mkdir()
    line = {"when": "2026-01-01T00:00:00+00:00", "failed": 0, "areas_m2": {}}
    file.write_text("".join(json.dumps(line | {"done": number}) + "\n" for number in range(5000)))
    add_to_history(tmp_path, _done(2))
    assert [json.loads(text)["done"] for text in file.read_text().splitlines()] == [*range(4001, 5000), 2]
    assert [moment.done for moment in read_history(tmp_path)] == [*range(4001, 5000), 2]


def test_those_who_publish_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    (tmp_path / ".geoseg").mkdir()
    start = threading.Barrier(6)

    def publish(count: int) -> None:
        start.wait()
        add_to_history(tmp_path, _done(count))

    threads = [threading.Thread(target=publish, args=(count,)) for count in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moment.done for moment in read_history(tmp_path)) == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in (tmp_path / ".geoseg").iterdir()] == ["history.jsonl"]
