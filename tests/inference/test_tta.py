"""Test-time augmentation: an equivariant network is left as it is, the mean of any other becomes equivariant."""

from __future__ import annotations

import numpy as np
import pytest

from geoseg.core.spec import PredictSpec, Tta
from geoseg.inference.tasks.semantic import SemanticTask
from geoseg.inference.tta import views
from geoseg.runtimes.runtime import Runtime
from geoseg.testing.fake_runtimes import ConstantRuntime, FilterRuntime

UNDO = SemanticTask().undo


def tile() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 9, size=(1, 2, 24, 24)).astype(np.float32)


def mean(runtime: Runtime, tta: Tta, tiles: np.ndarray) -> np.ndarray:
    return np.mean([view.run(tiles)["probabilities"] for view in views(runtime, tta, UNDO)], axis=0)


@pytest.mark.parametrize(("tta", "count"), [("none", 1), ("flip", 4), ("d4", 8)])
def test_every_view_is_another_one_and_the_runtime_sees_them_all(tta: Tta, count: int) -> None:
    runtime = FilterRuntime(2, 1)
    mean(runtime, tta, tile())
    assert len(views(runtime, tta, UNDO)) == count == PredictSpec(tta=tta).answers()
    assert len({seen.tobytes() for seen in runtime.seen}) == count


@pytest.mark.parametrize("tta", ["flip", "d4"])
def test_turning_the_tile_turns_the_answer(tta: Tta) -> None:
    runtime = FilterRuntime(2, 1)
    answer = mean(runtime, tta, tile())
    flipped = mean(runtime, tta, np.ascontiguousarray(tile()[..., ::-1, :]))
    np.testing.assert_allclose(flipped[..., ::-1, :], answer, atol=1e-6)
    if tta == "d4":
        turned = mean(runtime, tta, np.ascontiguousarray(np.rot90(tile(), axes=(2, 3))))
        np.testing.assert_allclose(np.rot90(turned, -1, axes=(2, 3)), answer, atol=1e-6)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def test_a_view_turns_back_what_it_turned() -> None:
    """A network that answers for each pixel alone says the same in every view."""
    runtime = FilterRuntime(2, 0)
    plain = runtime.run(tile())["probabilities"]
    oblong = tile()[..., :17]
    for view in views(runtime, "d4", UNDO):
        np.testing.assert_array_equal(view.run(tile())["probabilities"], plain)
        np.testing.assert_array_equal(view.run(oblong)["probabilities"], plain[..., :17])


def test_a_constant_stays() -> None:
    found = mean(ConstantRuntime((0.3, 0.7)), "d4", tile())
    np.testing.assert_allclose(found[0, 1], 0.7, rtol=1e-6)
