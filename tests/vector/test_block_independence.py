"""Noise, specks, nodata and all options at once: a scene cut into blocks gives what it gives whole."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from label_maps import NODATA, vectorised

from geoseg.vector.spec import VectorSpec


def noise(rng: np.random.Generator) -> np.ndarray:
    shares = rng.dirichlet(np.full(4, rng.choice([0.3, 1.0, 3.0])))
    codes = rng.choice([0, 1, 2, NODATA], tuple(rng.integers(1, 26, 2)), p=shares).astype(np.uint8)
    if rng.random() < 0.4:
        codes = np.kron(codes[:9, :9], np.ones(tuple(rng.integers(1, 4, 2)), np.uint8))
    return np.ascontiguousarray(codes)


def any_spec(rng: np.random.Generator) -> VectorSpec:
    if rng.random() < 0.2:
        return VectorSpec(connectivity=8)
    return VectorSpec(
        simplify_m=float(rng.choice([0, 0.5, 1, 2, 5, 50])),
        min_area_m2=float(rng.choice([0, 0, 1.5, 3, 8, 100])),
        method="visvalingam" if rng.random() < 0.5 else "douglas-peucker",
        smooth=bool(rng.random() < 0.5),
    )


@pytest.mark.slow_after(6)
@pytest.mark.parametrize("seed", range(20))
def test_blocks_do_not_show(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(8):
        codes, spec, block_px = noise(rng), any_spec(rng), int(rng.integers(1, 12))
        whole = vectorised(codes, spec=spec)
        parts = vectorised(codes, spec=spec, block_px=block_px, threads=int(rng.integers(1, 4)))
        if whole is None:
            assert parts is None
            continue
        assert parts is not None
        assert shapely.equals_identical(whole.geometry, parts.geometry).all()
        for column in ("class_code", "pixels"):
            assert (getattr(whole, column) == getattr(parts, column)).all()
        for column in ("area_m2", "perimeter_m"):
            assert getattr(whole, column) == pytest.approx(getattr(parts, column), rel=1e-12)
        assert shapely.is_valid(whole.geometry).all()
        assert shapely.coverage_is_valid(shapely.get_parts(whole.geometry))
        assert shapely.area(whole.geometry).sum() == pytest.approx(shapely.union_all(whole.geometry).area)
