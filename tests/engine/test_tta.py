"""Test-time augmentation: an equivariant network is left as it is, any other becomes equivariant."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runtimes import ConstantRuntime, FilterRuntime

from geoseg.core.spec import Tta
from geoseg.engine.tta import VIEWS, augmented


def tile() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 9, size=(1, 2, 24, 24)).astype(np.float32)


@pytest.mark.parametrize(("tta", "views"), [("none", 1), ("flip", 4), ("d4", 8)])
def test_every_view_is_another_one_and_the_runtime_sees_them_all(tta: Tta, views: int) -> None:
    runtime = FilterRuntime(2, 1)
    augmented(runtime, tta).probs(tile())
    assert len(VIEWS[tta]) == views
    assert len({seen.tobytes() for seen in runtime.seen}) == views


@pytest.mark.parametrize("tta", ["flip", "d4"])
def test_turning_the_tile_turns_the_answer(tta: Tta) -> None:
    runtime = augmented(FilterRuntime(2, 1), tta)
    answer = runtime.probs(tile())
    flipped = runtime.probs(np.ascontiguousarray(tile()[..., ::-1, :]))
    np.testing.assert_allclose(flipped[..., ::-1, :], answer, atol=1e-6)
    if tta == "d4":
        turned = runtime.probs(np.ascontiguousarray(np.rot90(tile(), axes=(2, 3))))
        np.testing.assert_allclose(np.rot90(turned, -1, axes=(2, 3)), answer, atol=1e-6)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def test_a_constant_stays() -> None:
    found = augmented(ConstantRuntime((0.3, 0.7)), "d4").probs(tile())
    np.testing.assert_allclose(found[0, 1], 0.7, rtol=1e-6)
