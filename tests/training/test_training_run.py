"""A training run: steps as the formulas say, stops when it should, goes on to the same weights after any kill."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import Logger
from small_training import chip_maker, document, no_look, recipe, write_squares

from geoseg.data.labelled import UNLABELLED
from geoseg.errors import ResourceError, UsageError
from geoseg.io.weights.model_file import read_model
from geoseg.training.batches import PrefetchedBatches
from geoseg.training.checkpoint import read_checkpoint
from geoseg.training.fit import FitPaths, fit
from geoseg.training.losses import mixed_loss
from geoseg.training.recipe import Recipe, recipe_digest
from geoseg.training.train import TrainingProgress, train
from geoseg.training.training_module import TrainingModule

PLAIN_SGD = {"name": "sgd", "momentum": 0.0}
STEADY = {"kind": "constant", "warm_up": 0, "weight_decay": 0, "clip_norm": 1e9, "ema": 0, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("data"))


def _places(folder: Path) -> FitPaths:
    return FitPaths(checkpoint=folder / "run.checkpoint", log=folder / "log.csv", tensorboard=folder / "board")


def _same_weights(one: Path, other: Path) -> None:
    for (name, a), (_, b) in zip(read_model(one)[0].items(), read_model(other)[0].items(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_one_step_over_two_batches_is_one_step_down_their_mean_gradient(data: Path, tmp_path: Path) -> None:
    """The oracle is gradient descent written out."""
    wanted = recipe(
        schedule=STEADY | {"steps": 1, "accumulate": 2},
        optimiser=PLAIN_SGD,
        trainer={"precision": "fp32", "tensorboard": False},
    )
    chips = chip_maker(wanted, data)
    learner, twin = TrainingModule(wanted), TrainingModule(wanted).network.train()
    losses = []
    for number in (0, 1):
        batch = chips.batch(number)
        inputs = batch.inputs.contiguous(memory_format=torch.channels_last)
        losses.append(mixed_loss(twin(inputs), batch.class_indices, wanted.loss, ignore=UNLABELLED))
    (sum(losses, torch.zeros(())) / 2).backward()
    reports: list[TrainingProgress] = []
    fit(learner, chips, _places(tmp_path), look=no_look, report=reports.append)
    assert [p.step for p in reports] == [1]
    for (name, moved), before in zip(learner.network.named_parameters(), twin.parameters(), strict=True):
        assert before.grad is not None
        torch.testing.assert_close(moved, before - 0.1 * before.grad, msg=name, rtol=1e-4, atol=1e-6)
    for name, value in learner.result().state_dict().items():
        torch.testing.assert_close(value, learner.network.state_dict()[name], msg="no average was wanted")


def _looks(scores: list[float], seen: list[dict[str, torch.Tensor]]) -> Any:
    """Look at prepared answers: of 1000 pixels of each class, so many are right that the IoU is the score."""
    left = iter(scores)

    def look(network: torch.nn.Module, share: tuple[int, int]) -> np.ndarray:
        assert share == (0, 1)
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        right = round(1000 * next(left))
        return np.array([[1000, 0], [1000 - right, right]])

    return look


def test_patience_ends_a_run_and_the_best_weights_are_kept(data: Path, tmp_path: Path) -> None:
    wanted = recipe(schedule={"steps": 50, "validate_every": 2, "patience": 2, "keep": "best"})
    seen: list[dict[str, torch.Tensor]] = []
    learner = TrainingModule(wanted)
    reports: list[TrainingProgress] = []
    look = _looks([0.2, 0.6, 0.5, 0.6, 0.9], seen)
    fit(learner, chip_maker(wanted, data), _places(tmp_path), look=look, report=reports.append)
    assert (learner.steps_taken, len(seen), learner.done) == (8, 4, True)
    assert [line["held_out_iou"] for line in learner.lines] == pytest.approx([0.2, 0.6, 0.5, 0.6])
    assert reports[-1].held_out_iou == pytest.approx(0.6)
    for name, value in learner.result().state_dict().items():
        assert torch.equal(value, seen[1][name]), name


def test_patience_outlives_an_interruption(data: Path, tmp_path: Path) -> None:
    wanted = recipe(schedule={"steps": 50, "validate_every": 2, "patience": 2, "keep": "best", "save_every": 3})
    places = _places(tmp_path)

    def pull(progress: TrainingProgress) -> None:
        if progress.step == 7:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(TrainingModule(wanted), chip_maker(wanted, data), places, look=_looks([0.2, 0.6, 0.5], []), report=pull)
    again = TrainingModule(wanted)
    state = read_checkpoint(places.checkpoint, wanted)
    again.on_load_checkpoint(state)
    again.load_state_dict(state["state_dict"])
    assert (again.steps_taken, again.looks_since_best) == (6, 1)
    fit(again, chip_maker(wanted, data), places, look=_looks([0.4], []), resume=True)
    assert again.steps_taken == 8
    assert again.best is not None
    assert again.best[0] == pytest.approx(0.6)


def test_a_run_that_ended_is_not_run_again(data: Path, tmp_path: Path) -> None:
    """Killed between the last checkpoint and the model: the model is written, not one step more is taken."""
    path, _ = train(recipe(schedule={"steps": 3}), data, tmp_path)
    kept = path.rename(tmp_path / "kept.safetensors")
    steps: list[int] = []
    again, _ = train(recipe(schedule={"steps": 3}), data, tmp_path, resume=True, report=lambda p: steps.append(p.step))
    assert steps == []
    _same_weights(kept, again)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "parts",
    [
        {"schedule": {"steps": 5, "save_every": 2, "accumulate": 2}},
        {
            "optimiser": {"name": "sgd"},
            "schedule": {"steps": 5, "save_every": 2, "kind": "poly", "learning_rate": 0.1},
        },
        {"trainer": {"recompute": True, "workers": 3, "tensorboard": True}, "schedule": {"steps": 5, "save_every": 2}},
        {
            "loss": {"cross_entropy": 0.5, "focal": 1, "boundary": 0.5, "class_weights": "balanced"},
            "schedule": {"steps": 5, "save_every": 2, "kind": "one_cycle"},
        },
    ],
)
def test_any_recipe_cut_in_two_ends_with_the_same_weights(data: Path, tmp_path: Path, parts: dict[str, Any]) -> None:
    wanted = recipe(**{"trainer": {"tensorboard": False}} | parts)

    def pull(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise InterruptedError

    whole, _ = train(wanted, data, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(wanted, data, tmp_path / "cut", report=pull)
    again, _ = train(wanted, data, tmp_path / "cut", resume=True)
    _same_weights(whole, again)


def test_recomputing_learns_the_same_weights(data: Path, tmp_path: Path) -> None:
    plain, _ = train(recipe(schedule={"steps": 3}), data, tmp_path / "plain")
    thrifty, _ = train(
        recipe(schedule={"steps": 3}, trainer={"recompute": True, "tensorboard": False}), data, tmp_path / "thrifty"
    )
    _same_weights(plain, thrifty)


def test_ctrl_c_is_the_caller_s_to_handle(data: Path, tmp_path: Path) -> None:
    """Lightning would leave the process with exit code 1, deaf to further signals."""

    def press(progress: TrainingProgress) -> None:
        del progress
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(schedule={"steps": 2}), data, tmp_path, report=press)
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_diverging_run_says_so(data: Path, tmp_path: Path) -> None:
    wanted = recipe(schedule=STEADY | {"steps": 30, "learning_rate": 1e30}, optimiser=PLAIN_SGD)
    with pytest.raises(UsageError, match=r"squares: the loss is (nan|inf) at step \d+; lower learning_rate"):
        train(wanted, data, tmp_path)


def test_a_network_that_needs_two_chips_says_so(data: Path, tmp_path: Path) -> None:
    architecture = {"name": "pspnet_r50", "options": {"backbone": "test_resnet"}}
    chips = {**document()["chips"], "batch": 1}
    recipe = Recipe.model_validate({**document(steps=2), "architecture": architecture, "chips": chips})
    with pytest.raises(UsageError, match=r"squares: pspnet_r50 .* Set chips\.batch to 2 or more"):
        train(recipe, data, tmp_path)


def test_what_is_not_there_is_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ResourceError, match="1 GPU requested, 0 available"):
            train(recipe(trainer={"accelerator": "gpu"}), data, tmp_path)
    if importlib.util.find_spec("mlflow") is None:
        with pytest.raises(UsageError, match=r"trainer.mlflow needs what is not installed.*geoseg\[mlflow\]"):
            train(recipe(trainer={"mlflow": "http://localhost:1", "tensorboard": False}), data, tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"training needs lightning. Run pip install 'geoseg\[train\]'"):
        train(recipe(), data, tmp_path)


def test_the_log_tells_the_run(data: Path, tmp_path: Path) -> None:
    wanted = recipe(schedule={"steps": 6, "validate_every": 3, "save_every": 2}, trainer={"log_every": 2})
    train(wanted, data, tmp_path)
    head, *lines = (tmp_path / "squares_log.csv").read_text().splitlines()
    assert head == "step,loss,learning_rate,iou,held_out_iou,images_per_s,elapsed_s"
    rows = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    assert [row["step"] for row in rows] == ["2", "3", "4", "6"]
    assert [row["step"] for row in rows if row["held_out_iou"]] == ["3", "6"]
    assert all(float(row["images_per_s"]) > 0 for row in rows)
    (events,) = (tmp_path / "squares_tensorboard").glob("events.*")
    assert b"held_out_iou" in events.read_bytes()


class _Remembering(Logger):  # type: ignore[misc]
    """Stands in for MLflow's logger."""

    name = version = "remembering"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.metrics: list[tuple[int, dict[str, float]]] = []
        MADE.append(self)

    def log_hyperparams(self, params: Any) -> None:
        self.params = params

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((step, metrics))


MADE: list[_Remembering] = []


def test_mlflow_is_told_the_recipe_and_every_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoseg.training.fit.MLFlowLogger", _Remembering)
    settings = {"mlflow": "http://localhost:5000", "tensorboard": False, "log_every": 2}
    train(recipe(schedule={"steps": 4}, trainer=settings), data, tmp_path)
    (logger,) = MADE
    assert logger.options == {"experiment_name": "squares", "tracking_uri": "http://localhost:5000"}
    assert logger.params["schedule"]["steps"] == 4
    assert [step for step, _ in logger.metrics] == [2, 4]
    assert all(metrics["loss"] > 0 for _, metrics in logger.metrics)


def test_keys_that_came_later_change_a_digest_only_where_they_say_something() -> None:
    plain = Recipe.model_validate({k: v for k, v in document().items() if k != "trainer"})
    named = document() | {
        "trainer": {"workers": 4, "tensorboard": False, "accelerator": "cpu"},
        "optimiser": {"name": "adamw"},
        "loss": {"focal": 0, "class_weights": None},
    }
    named["schedule"] |= {"kind": "cosine", "accumulate": 1, "keep": "last"}
    assert recipe_digest(Recipe.model_validate(named)) == recipe_digest(plain)
    assert "kind" not in plain.card().recipe["schedule"]
    assert plain.card().recipe.keys() == {"chips", "augment", "loss", "schedule", "seed"}
    for change in (
        {"optimiser": {"name": "sgd"}},
        {"trainer": {"precision": "fp32"}},
        {"trainer": {"devices": 2}},
        {"loss": {"focal": 1}},
        {"schedule": document()["schedule"] | {"kind": "poly"}},
    ):
        other = Recipe.model_validate(document() | change)
        assert recipe_digest(other) != recipe_digest(plain), change
        assert other.card().recipe != plain.card().recipe


class _Numbers:
    def batch(self, number: int) -> int:
        return number


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order_and_each_process_has_its_own(workers: int) -> None:
    def numbers(**options: Any) -> list[Any]:
        return list(PrefetchedBatches(_Numbers(), 7, workers=workers, **options))  # type: ignore[arg-type]

    assert numbers() == list(range(7))
    assert numbers(begin=4) == [4, 5, 6]
    assert sorted(numbers(share=(0, 2)) + numbers(share=(1, 2))) == list(range(14))
    assert numbers(begin=2, share=(1, 2)) == [5, 7, 9, 11, 13]


def _log(folder: Path) -> list[tuple[str, ...]]:
    """Lines of a log, but for what the clock says."""
    with (folder / "squares_log.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [tuple(row[name] for name in row if name not in ("images_per_s", "elapsed_s")) for row in rows]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("stop_at", [4, 7])
def test_a_resumed_run_logs_what_an_uninterrupted_one_logs(stop_at: int, data: Path, tmp_path: Path) -> None:
    asked = recipe(schedule={"steps": 8, "save_every": 1}, trainer={"log_every": 3, "tensorboard": False})

    def stop(progress: TrainingProgress) -> None:
        if progress.step == stop_at:
            raise InterruptedError

    train(asked, data, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(asked, data, tmp_path / "cut", report=stop)
    train(asked, data, tmp_path / "cut", resume=True)
    assert _log(tmp_path / "cut") == _log(tmp_path / "whole")
    assert [line[0] for line in _log(tmp_path / "whole")] == ["3", "6", "8"]


@pytest.mark.slow
def test_a_run_killed_between_its_last_checkpoint_and_its_log_has_its_log_whole(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = recipe(schedule={"steps": 4, "save_every": 2}, trainer={"log_every": 2, "tensorboard": False})
    train(asked, data, tmp_path / "whole")
    for killed in ("write_log", "Trainer.save_checkpoint"):
        calls = []

        def die(*arguments: Any, calls: list[Any] = calls) -> None:
            calls.append(arguments)
            if len(calls) == 2:
                raise InterruptedError

        with monkeypatch.context() as patched:
            patched.setattr(f"geoseg.training.callbacks.{killed}", die)
            with pytest.raises(InterruptedError):
                train(asked, data, tmp_path / killed)
        train(asked, data, tmp_path / killed, resume=True)
        assert _log(tmp_path / killed) == _log(tmp_path / "whole")


_SCRIPT = """
import json, os, signal, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from geoseg.training.recipe import Recipe, recipe_digest
from geoseg.training.train import train
document, data, out, kill_at = json.loads(sys.argv[1])
def report(progress):
    if progress.step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
train(Recipe.model_validate(document), Path(data), Path(out), resume=True, report=report)
"""


def _in_a_process(wanted: dict[str, Any], data: Path, out: Path, kill_at: int = -1) -> int:
    script = out.with_suffix(".py")  # a file, for Lightning starts its other processes by their script
    script.write_text(_SCRIPT)
    arguments = json.dumps([wanted, str(data), str(out), kill_at])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, script, arguments], env=environment, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    wanted = document(steps=14, save_every=3, validate_every=4)
    assert _in_a_process(wanted, data, tmp_path / "whole") == 0
    for kill_at in (5, 11):
        assert _in_a_process(wanted, data, tmp_path / "cut", kill_at) == -signal.SIGKILL
    assert _in_a_process(wanted, data, tmp_path / "cut") == 0
    _same_weights(tmp_path / "whole" / "squares.safetensors", tmp_path / "cut" / "squares.safetensors")


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_two_batches_a_step(data: Path, tmp_path: Path) -> None:
    """Each of two processes cuts its own batch; their mean gradient is that of both batches in one process.

    Only the statistics of batch norms differ, which each process takes from its own batch.
    """
    steady = STEADY | {"steps": 4, "save_every": 2}
    alike: dict[str, Any] = {"precision": "fp32", "accelerator": "cpu", "tensorboard": False}
    one = document(**steady, accumulate=2) | {"optimiser": PLAIN_SGD, "trainer": alike}
    two = document(**steady) | {"optimiser": PLAIN_SGD, "trainer": alike | {"devices": 2, "strategy": "ddp"}}
    _in_a_process(one, data, tmp_path / "one")
    _in_a_process(two, data, tmp_path / "two")
    train(Recipe.model_validate(one | {"schedule": one["schedule"] | {"accumulate": 1}}), data, tmp_path / "alone")
    found = [read_model(tmp_path / name / "squares.safetensors")[0] for name in ("one", "two", "alone")]
    learnt = [name for name in found[0] if "running" not in name and "num_batches" not in name]

    def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
        return float(np.mean(np.concatenate([np.abs(one[n].astype(np.float64) - other[n]).ravel() for n in learnt])))

    near, far = apart(found[0], found[1]), apart(found[0], found[2])
    assert near < 1e-5
    assert far > 30 * near, f"{near} and {far}: one batch a step would have done"
