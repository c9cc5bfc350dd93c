"""The flows of one scene, of training and of evaluation do what the commands do, and show it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from archive_bytes import alone, layers
from prefect_server import Api, written
from small_training import document, write_squares

from geoseg.archive.run import run_archive

pytestmark = pytest.mark.slow


def test_one_scene_gives_the_bytes_of_the_command(api: Api, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(1)
    out, options = tmp_path / "one", ["device=cpu", "runtime=torch", "precision=fp32", "workers=2"]
    options += [f"predict.{name}={getattr(config.predict, name)}" for name in ("block_px", "tile_px", "halo_px")]
    command = ["flows/segment_scene.py", str(tmp_path / "scenes" / "area0.tif"), "--model", config.model]
    command += ["--out", str(out), *(word for option in options for word in ("--set", option))]
    ended = api.run(*command)
    assert ended.returncode == 0, ended.stderr
    assert layers(out) == alone(config, tmp_path / "alone")
    shown = _artifacts(api, "area0")
    assert set(shown) == {"area0-progress", "area0-classes"}
    again = api.run(*command)
    assert (again.returncode, "done before" in again.stderr) == (0, True)
    assert _artifacts(api, "area0") == shown, "nothing changed"
    refused = api.run("flows/segment_scene.py", "none.tif", "--model", config.model, "--out", str(out))
    assert (refused.returncode, "Traceback" in refused.stderr) == (3, False), refused.stderr


def test_training_gives_the_weights_of_the_command(api: Api, tmp_path: Path) -> None:
    data = write_squares(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(document(steps=4)))
    same = ("--data", str(data), "--threads", "1")
    ended = api.run("flows/train_model.py", str(recipe), *same, "--out", str(tmp_path / "flow"))
    assert ended.returncode == 0, ended.stderr
    command = [sys.executable, "-m", "geoseg", "train", str(recipe), *same, "--out", str(tmp_path / "plain")]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = (tmp_path / "plain").glob("*.safetensors")
    by_flow = (tmp_path / "flow" / path.name).read_bytes()
    assert json.loads(by_flow[8 : 8 + int.from_bytes(by_flow[:8], "little")])["__metadata__"]
    assert _weights(tmp_path / "flow" / path.name) == _weights(path)
    assert {"squares-progress", "squares-scores"} <= {row["key"] for row in api.ask("artifacts/filter")}


def test_evaluation_scores_what_is_done_and_names_what_has_no_reference(
    api: Api, make_archive: Any, tmp_path: Path
) -> None:
    config = make_archive(3)
    run_archive(config)
    references = tmp_path / "references"
    references.mkdir()
    for name in ("area0", "area1"):
        shutil.copy(config.out / name / f"{name}_classes.tif", references / f"{name}_label.tif")
    ended = api.run("flows/evaluate_archive.py", str(config.out), "--reference", str(references))
    assert ended.returncode == 0, ended.stderr
    assert "2 scenes scored, 1 have no reference" in ended.stderr
    report = json.loads((config.out / "evaluation.json").read_text())
    assert [row["overall_accuracy"] for row in report["scenes"]] == [1.0, 1.0], "against itself a map is right"
    assert report["scenes_without_reference"] == ["area2"]
    assert {"out-scores", "out-totals"} <= {row["key"] for row in api.ask("artifacts/filter")}
    (references / "area1_label.tif").write_bytes(b"torn")
    ended = api.run("flows/evaluate_archive.py", str(config.out), "--reference", str(references))
    assert ended.returncode == 7, ended.stderr
    assert "1 scenes scored, 1 have no reference, 1 failed" in ended.stderr
    report = json.loads((config.out / "evaluation.json").read_text())
    assert [row["scene"] for row in report["scenes"]] == ["area0"], "the others are scored"
    assert [row["scene"] for row in report["scenes_failed"]] == ["area1"]
    assert "area1_label.tif" in report["scenes_failed"][0]["cause"]


def test_scenes_of_a_limit_wait_for_each_other_and_a_wrong_limit_is_named(
    api: Api, make_archive: Any, tmp_path: Path
) -> None:
    path = written(make_archive(2, workers=2), tmp_path / "a.yaml")
    refused = api.run("flows/segment_archive.py", str(path), "--gpu-limit", "none")
    assert refused.returncode == 2, refused.stderr
    assert "prefect gcl create none" in refused.stderr
    assert api.run("-m", "prefect", "gcl", "create", "one-gpu", "--limit", "1").returncode == 0
    ended = api.run("flows/segment_archive.py", str(path), "--gpu-limit", "one-gpu")
    assert ended.returncode == 0, ended.stderr
    rows = api.ask("events/filter", filter={"event": {"prefix": ["prefect.concurrency-limit."]}}, limit=50)["events"]
    turns = [word for _, word in sorted((row["occurred"], row["event"].rpartition(".")[2]) for row in rows)]
    assert [word for word in turns if word in {"acquired", "released"}] == ["acquired", "released"] * 2, turns


def _artifacts(api: Api, subject: str) -> list[str]:
    return sorted(row["key"] for row in api.ask("artifacts/filter") if (row["key"] or "").startswith(subject))


def _weights(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
