"""What each worker did adds up to what the run did, and costs nothing to tell."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import blobs
from hypothesis import given
from hypothesis import strategies as st

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.facts import OTHER_WORKERS, Facts
from geoseg.archive.report.summary import report_markdown
from geoseg.archive.report.workers import draw_workers, worker_table
from geoseg.archive.run import run_archive
from geoseg.core.spec import PredictSpec
from geoseg.models.model import load_model
from geoseg.run.predict import predict
from geoseg.run.workers.use import LOCAL, WorkerUse, added, uses_of

SPEC = PredictSpec(block_px=128)
USES = st.builds(
    WorkerUse,
    name=st.sampled_from(["0", "1", "tcp://10.0.0.1:1"]),
    blocks=st.integers(0, 9),
    pixels=st.integers(0, 10**9),
    network_s=st.integers(0, 999).map(float),
    scenes=st.integers(0, 3),
    layers_s=st.integers(0, 999).map(float),
    peak_memory_bytes=st.integers(0, 2**40),
)


def test_one_process_tells_its_blocks_and_layers(tiny_model: Path, write_scene: Any, tmp_path: Path) -> None:
    model = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    values = blobs((330, 310))
    values[:, :, :250] = 0  # blocks on the left are empty
    record = predict(write_scene(values, nodata=0), model, tmp_path, spec=SPEC).record
    (use,) = uses_of(json.loads((tmp_path / "scene" / "run.json").read_text()))
    assert (use.name, use.scenes) == (LOCAL, 1)
    assert use.blocks == record["blocks"]["predicted"] < record["blocks"]["total"]
    assert 330 * 60 <= use.pixels < 330 * 310
    assert use.pixels / record["timings"]["predict_s"] == pytest.approx(record["pixels_per_s"], rel=0.01)
    assert 0 < use.network_s <= record["timings"]["predict_s"]
    assert use.layers_s == pytest.approx(record["timings"]["layers_s"] + record["timings"]["publish_s"], abs=0.01)
    assert use.peak_memory_bytes >= psutil.Process().memory_info().rss / 2


def test_workers_of_a_cluster_tell_theirs_in_the_report(crew_of_two: Any, make_archive: Any) -> None:
    config = make_archive(3)
    records: list[SceneRecord] = []
    run_archive(config, workers=crew_of_two, on_record=records.append)
    facts = Facts.of(records)
    assert facts.workers.keys() <= {"0", "1"}
    assert sum(use.blocks for use in facts.workers.values()) == facts.blocks["predicted"]
    assert sum(use.pixels for use in facts.workers.values()) == facts.valid_pixels
    assert sum(use.scenes for use in facts.workers.values()) == 3
    page, short = (config.out / "report.html").read_text(), (config.out / "report.md").read_text()
    for name, use in facts.workers.items():
        assert f'<tr><td class="name">{name}</td><td class="num">{use.scenes}</td><td class="num">{use.blocks}' in page
        assert f"| {name} | {use.scenes} | {use.blocks} |" in short
    assert str(config.out) not in page
    before = (config.out / "report.html").read_bytes()
    run_archive(config)
    assert (config.out / "report.html").read_bytes() == before, "what was measured stays"


@given(uses=st.lists(USES, max_size=8))
def test_reports_add_up_in_any_order(uses: list[WorkerUse]) -> None:
    def total(order: list[WorkerUse]) -> dict[str, WorkerUse]:
        whole: tuple[WorkerUse, ...] = ()
        for use in [None, *order]:
            whole = added(whole, use)
        return {use.name: use for use in whole}

    whole = total(uses)
    assert whole == total(uses[::-1])
    assert sum(use.pixels for use in whole.values()) == sum(use.pixels for use in uses)
    assert math.fsum(use.network_s for use in whole.values()) == math.fsum(use.network_s for use in uses)
    for name, use in whole.items():
        assert use.peak_memory_bytes == max(one.peak_memory_bytes for one in uses if one.name == name)
    assert uses_of({"workers": [use.facts() for use in uses]}) == tuple(uses)


@pytest.mark.parametrize("entries", [None, 3, "x", [3], [{}], [{"name": "a"}], {"name": "a"}])
def test_what_a_record_does_not_tell_is_left_out(entries: Any) -> None:
    assert uses_of({"workers": entries}) == ()
    assert uses_of({}) == ()


def test_thousands_of_workers_make_a_short_report() -> None:
    def record(number: int) -> SceneRecord:
        use = WorkerUse(name=f"tcp://10.0.0.1:{number}", blocks=1, pixels=10**6 + number, network_s=1.0, scenes=1)
        return SceneRecord(name=f"s{number}", uri="s.tif", state="done", workers=(use,))

    facts = Facts.of(map(record, range(1000)))
    assert len(facts.workers) == 201
    assert facts.workers[OTHER_WORKERS].scenes == 800
    assert draw_workers(facts.workers).count("<tr>") == 101
    text = report_markdown(map(record, range(1000)))
    assert text.count("tcp://") == 19, "the sum of the others is the busiest of twenty"
    assert "| 181 others |" in text


def test_workers_are_listed_as_they_count_and_their_names_are_text() -> None:
    names = ["gpu-10", "gpu-9", "a<b>|"]
    facts = Facts.of([SceneRecord(name="s", uri="s", state="done", workers=tuple(WorkerUse(name=n) for n in names))])
    assert [row[0] for row in worker_table(facts.workers).rows] == ["a<b>|", "gpu-9", "gpu-10"]
    assert "a&lt;b&gt;|" in draw_workers(facts.workers)
    assert draw_workers({}) == ""
