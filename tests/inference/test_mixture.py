"""Means of several answers: the laws of one answer hold for them, and uncertainty is that of the definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from scipy import special, stats
from test_predict_laws import BANDS, legend, plan, scenes, shapes, tilings

from geoseg.core.raster import Raster
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Blocks, Tiling
from geoseg.core.window import Window
from geoseg.errors import ModelError
from geoseg.inference.mixture import Mixture, entropy
from geoseg.inference.passes import InferencePass, bands_read, block_pixels, window_read
from geoseg.inference.predict import predict_block
from geoseg.inference.resample import Resampling
from geoseg.inference.tasks.semantic import SemanticTask
from geoseg.inference.tasks.task import Assembly
from geoseg.runtimes.runtime import Runtime
from geoseg.testing.fake_runtimes import ConstantRuntime, FilterRuntime

CLASSES = 3
Bytes = npt.NDArray[np.uint8]


class Opinion(FilterRuntime):
    """A local filter of its own mind."""

    def __init__(self, seed: int, radius: int = 1, batch: int = 1) -> None:
        super().__init__(CLASSES, radius, batch)
        shape = (CLASSES, 8, 2 * radius + 1, 2 * radius + 1)
        self._kernels = np.random.default_rng(seed).integers(-3, 4, size=shape).astype(np.float64)


def passes_of(tiling: Tiling, members: int, scales: Sequence[float] = (1.0,)) -> tuple[InferencePass, ...]:
    """As a run plans them: all members with the same tiles, each at all scales."""
    read = plan(tiling.scene_shape, tiling.work_shape)
    found = []
    for member in range(members):
        for scale in scales:
            work = (max(1, round(read.work_shape[0] * scale)), max(1, round(read.work_shape[1] * scale)))
            scaled = replace(tiling, work_shape=work)
            found.append(InferencePass(member=member, scale=scale, read=replace(read, work_shape=work), tiling=scaled))
    return tuple(found)


def mapped(
    scene: tuple[npt.NDArray[Any], npt.NDArray[np.bool_]],
    members: Sequence[tuple[Runtime, float]],
    passes: tuple[InferencePass, ...],
    spec: PredictSpec,
    *,
    block_px: int = 50,
    backwards: bool = False,
) -> dict[str, Bytes]:
    """Predict a whole scene block by block: every layer by its name."""
    values, valid = scene
    task = SemanticTask()
    schema = task.schema(spec, legend(CLASSES), len(members))
    assembly = Assembly(legend=legend(CLASSES), spec=spec, schema=schema, members=len(members))
    layers = {layer.name: np.full(valid.shape, 77, np.uint8) for layer in schema.planes}
    blocks = list(Blocks(passes[0].tiling, block_px))
    for block in blocks[::-1] if backwards else blocks:
        window = window_read(passes, block)
        grid = GeoBox(window.shape, Affine(1.0, 0, 0, 0, -1.0, 0), "EPSG:32632")
        chosen = values[[band - 1 for band in bands_read(passes)]]
        raster = Raster(values=chosen[:, *window.slices], valid=valid[window.slices], geobox=grid)
        result = predict_block(task, members, assembly, block_pixels(passes, block, raster))
        for name, plane in result.planes.items():
            layers[name][block.window.slices] = plane
    return layers


scale_sets = st.lists(st.sampled_from([0.5, 0.75, 1.0, 1.3, 2.0]), min_size=1, max_size=3, unique=True).map(tuple)
ttas = st.sampled_from(["none", "flip", "d4"])
weights = st.floats(0.1, 10)
EVERYTHING = PredictSpec(uncertainty=True, probabilities=True)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(0, 1000), st.floats(0.1, 30))
def test_entropy_is_shannons_by_another_hand(classes: int, seed: int, sharp: float) -> None:
    scores = np.random.default_rng(seed).normal(size=(classes, 4, 5)) * sharp
    probs = special.softmax(scores, axis=0).astype(np.float32)
    found = entropy(probs)
    wanted = stats.entropy(probs.astype(np.float64), base=classes, axis=0) if classes > 1 else np.zeros((4, 5))
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_equal_probabilities_are_wholly_uncertain_and_a_sure_answer_is_not(classes: int) -> None:
    np.testing.assert_allclose(entropy(np.full((classes, 1, 1), 1 / classes, np.float32)), 1, rtol=1e-6)
    assert entropy(np.eye(classes, dtype=np.float32)[:, :1, None]) == 0
    tiling = Tiling((20, 20), (20, 20), tile_px=32, halo_px=4)
    scene = np.zeros((BANDS, 20, 20), np.uint8), np.ones((20, 20), bool)
    even = mapped(scene, [(ConstantRuntime((1 / 3,) * 3), 1.0)], passes_of(tiling, 1), EVERYTHING)
    assert (even["entropy"] == 100).all()
    assert (even["probability_4"] == 33).all()
    assert "mutual_information" not in even, "a single answer has nobody to contradict"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1000), weights), min_size=1, max_size=6))
def test_the_mixture_is_the_weighted_mean_and_its_uncertainty_that_of_bald(members: list[tuple[int, float]]) -> None:
    answers = [
        special.softmax(np.random.default_rng(seed).normal(size=(4, 3, 5)) * 3, axis=0).astype(np.float32)
        for seed, _ in members
    ]
    mixture, so_far = Mixture(4, (3, 5), entropies=True), 0.0
    for answer, (_, weight) in zip(answers, members, strict=True):
        so_far += weight
        mixture.add(answer, (slice(None), slice(None)), weight / so_far)
    shares = np.array([weight for _, weight in members]) / so_far
    mean = np.einsum("i,icyx->cyx", shares, np.array(answers, np.float64))
    total = stats.entropy(mean, base=4, axis=0)
    own = np.einsum("i,iyx->yx", shares, stats.entropy(np.array(answers, np.float64), base=4, axis=1))
    whole, mutual = mixture.uncertainty()
    assert mutual is not None
    np.testing.assert_allclose(mixture.mean, mean, atol=2e-6)
    np.testing.assert_allclose(whole, total, atol=5e-6)
    np.testing.assert_allclose(mutual, total - own, atol=5e-6)
    # Kullback and Leibler's form of the same: the mean distance of the answers from their mean
    distance = sum(
        share * stats.entropy(a.astype(np.float64), mean, base=4, axis=0)
        for share, a in zip(shares, answers, strict=True)
    )
    np.testing.assert_allclose(mutual, distance, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_copies_of_one_network_give_its_bytes_and_do_not_contradict_each_other(data: st.DataObject) -> None:
    scene = data.draw(scenes(valid=False))
    work = data.draw(st.one_of(st.none(), shapes))
    tiling = data.draw(tilings(scene[1].shape, halo=data.draw(st.integers(0, 8)), work=work))
    copies = data.draw(st.lists(weights, min_size=2, max_size=5))
    one = mapped(scene, [(Opinion(1), 1.0)], passes_of(tiling, 1), PredictSpec())
    members = [(Opinion(1), weight) for weight in copies]
    many = mapped(scene, members, passes_of(tiling, len(members)), PredictSpec(uncertainty=True))
    for layer in ("classes", "confidence"):
        np.testing.assert_array_equal(many[layer], one[layer])
    assert (many["mutual_information"][scene[1]] == 0).all()
    for layer in ("entropy", "mutual_information"):
        np.testing.assert_array_equal(many[layer] == 255, ~scene[1])


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_constant_networks_give_a_constant_map_at_every_scale_and_view(data: st.DataObject) -> None:
    values, valid = data.draw(scenes())
    work = data.draw(st.one_of(st.none(), shapes))
    tiling = data.draw(tilings(valid.shape, halo=data.draw(st.integers(0, 12)), work=work))
    scales, tta = data.draw(scale_sets), data.draw(ttas)
    members = [(ConstantRuntime((0.2, 0.7, 0.1)), 3.0), (ConstantRuntime((0.6, 0.1, 0.3)), 1.0)]
    spec = PredictSpec(uncertainty=True, probabilities=True, tta=tta, tta_scales=scales)
    found = mapped((values, valid), members, passes_of(tiling, 2, spec.tta_scales), spec, block_px=90)
    mean = np.array([0.3, 0.55, 0.15])
    own = 0.75 * stats.entropy([0.2, 0.7, 0.1], base=3) + 0.25 * stats.entropy([0.6, 0.1, 0.3], base=3)
    wanted = {
        "classes": 4,
        "confidence": 55,
        "entropy": round(100 * stats.entropy(mean, base=3)),
        "mutual_information": round(100 * (stats.entropy(mean, base=3) - own)),
        "probability_3": 30,
        "probability_4": 55,
        "probability_5": 15,
    }
    assert {name: np.unique(layer).tolist() for name, layer in found.items()} == {k: [v] for k, v in wanted.items()}


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_bytes_depend_on_neither_batch_nor_order_nor_on_what_else_is_kept(data: st.DataObject) -> None:
    scene = data.draw(scenes(valid=False))
    work = data.draw(st.one_of(st.none(), shapes))
    tiling = data.draw(tilings(scene[1].shape, halo=data.draw(st.integers(0, 8)), work=work))
    scales, tta = data.draw(scale_sets), data.draw(st.sampled_from(["none", "flip"]))
    plain = PredictSpec(tta=tta, tta_scales=scales)
    every = PredictSpec(tta=tta, tta_scales=scales, uncertainty=True, probabilities=True)
    passes = passes_of(tiling, 2, plain.tta_scales)
    first = mapped(scene, [(Opinion(1), 1.0), (Opinion(2), 2.0)], passes, every)
    again = mapped(scene, [(Opinion(1, batch=3), 1.0), (Opinion(2, batch=2), 2.0)], passes, every, backwards=True)
    less = mapped(scene, [(Opinion(1), 1.0), (Opinion(2), 2.0)], passes, plain)
    large = mapped(scene, [(Opinion(1), 1.0), (Opinion(2), 2.0)], passes, plain, block_px=1000)
    for name, layer in first.items():
        np.testing.assert_array_equal(layer, again[name])
        np.testing.assert_array_equal(layer == (255 if name != "classes" else legend(3).nodata), ~scene[1])
    for name, layer in less.items():
        np.testing.assert_array_equal(layer, first[name])
    assert (first["classes"] != large["classes"]).sum() <= max(1, 1e-4 * scene[1].size)
    # what is most probable is what was chosen
    probable = np.stack([first[f"probability_{code}"] for code in legend(CLASSES).codes])
    np.testing.assert_array_equal(probable.max(axis=0), first["confidence"])
    assert (np.abs(probable[:, scene[1]].astype(int).sum(axis=0) - 100) <= 2).all()


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_local_filter_within_the_halo_gives_the_whole_image_answer_at_every_scale(data: st.DataObject) -> None:
    """The halo counts in pixels of the scale, so tiles are as invisible there as at the scene's own."""
    values, valid = data.draw(scenes())
    scale = data.draw(st.sampled_from([0.5, 0.75, 1.3, 2.0]))
    # interpolation back onto the scene looks one pixel further
    tiling = data.draw(tilings(valid.shape, halo=data.draw(st.integers(2 + 2, 8))))
    (one,) = passes = passes_of(replace(tiling, blend="core"), 1, (scale,))
    found = mapped((values, valid), [(Opinion(1), 1.0)], passes, PredictSpec(tta_scales=(scale,), probabilities=True))
    shape, work = valid.shape, one.read.work_shape
    seen = Resampling(shape, work).apply(values.astype(np.float32), Window.whole(shape), Window.whole(work))
    answer = Opinion(1).run(seen[None])["probabilities"][0]
    wanted = Resampling(work, shape).apply(answer, Window.whole(work), Window.whole(shape))
    probable = np.stack([found[f"probability_{code}"] for code in legend(CLASSES).codes])
    np.testing.assert_allclose(probable, np.rint(100 * wanted), atol=1)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_the_tiles_over_any_window_answer_for_all_of_it(data: st.DataObject) -> None:
    shape, work = data.draw(shapes), data.draw(shapes)
    tiling = data.draw(tilings(shape, halo=data.draw(st.integers(0, 9)), work=work))
    rows = sorted(data.draw(st.lists(st.integers(0, shape[0]), min_size=2, max_size=2, unique=True)))
    cols = sorted(data.draw(st.lists(st.integers(0, shape[1]), min_size=2, max_size=2, unique=True)))
    window = Window(rows[0], rows[1], cols[0], cols[1])
    cells = tiling.cells(window)
    meeting = [t for t in tiling if t.core.intersection(window).pixels]
    assert all(cells.contains(Window(t.row, t.row + 1, t.col, t.col + 1)) for t in meeting)
    assert all(t.core.pixels == 0 or t in meeting for t in tiling.tiles(cells)), "and no others"
    wider = cells if tiling.blend == "core" else cells.expanded(1).intersection(Window.whole(tiling.shape))
    total = sum(tiling.weight(tile, window) for tile in tiling.tiles(wider))
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_networks_of_different_bands_each_see_their_own() -> None:
    """One reads band 1, the other band 2; the mean is that of each alone."""
    random = np.random.default_rng(0)
    values = random.integers(0, 256, size=(BANDS, 60, 70)).astype(np.uint8)
    valid = random.random((60, 70)) < 0.9
    tiling = Tiling((60, 70), (60, 70), tile_px=40, halo_px=4)
    (whole,) = passes_of(tiling, 1)
    both = tuple(
        replace(
            whole,
            member=member,
            read=replace(
                whole.read, bands=(band,), **{k: getattr(whole.read, k)[:1] for k in ("gain", "bias", "mean", "std")}
            ),
            tiling=replace(tiling, tile_px=40 + 8 * member),
        )
        for member, band in enumerate((2, 1))
    )
    spec = PredictSpec(probabilities=True)
    found = mapped((values, valid), [(Opinion(1), 1.0), (Opinion(2), 1.0)], both, spec)
    alone = [
        mapped((values, valid), [(Opinion(seed), 1.0)], (replace(one, member=0),), spec)
        for seed, one in zip((1, 2), both, strict=True)
    ]
    for code in legend(CLASSES).codes:
        mean = sum(each[f"probability_{code}"].astype(float) for each in alone) / 2
        np.testing.assert_allclose(found[f"probability_{code}"][valid], mean[valid], atol=1)
    assert bands_read(both) == (1, 2)


def test_a_member_that_answers_nan_is_refused() -> None:
    tiling = Tiling((20, 20), (20, 20), tile_px=32, halo_px=4)
    scene = np.zeros((BANDS, 20, 20), np.uint8), np.ones((20, 20), bool)
    broken = ConstantRuntime((float("nan"), 0.5, 0.5))
    with pytest.raises(ModelError, match="NaN"):
        mapped(scene, [(ConstantRuntime((0.2, 0.7, 0.1)), 1.0), (broken, 1.0)], passes_of(tiling, 2), PredictSpec())
