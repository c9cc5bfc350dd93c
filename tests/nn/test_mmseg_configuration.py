"""The configuration in mmsegmentation's checkpoints decides what the tensors do not tell, and is never executed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from published_weights import drawn, pixels

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.checkpoints import fit, strip_wrapper
from geoseg.nn.checkpoints.mmseg.config import UnreadableConfigError, read_mmseg_config
from geoseg.nn.checkpoints.mmseg.options import mmseg_options, single_threshold
from geoseg.nn.zoo.registry import options

OPTIONS = Path(__file__).parent / "references" / "options"
VIT = {"vit": "test_vit"}
CHOSEN: dict[str, dict[str, Any]] = {
    "ocr_aligned": {"backbone": "resnet18c"},
    "fastfcn_aligned_rates": {"backbone": "resnet18c"},
    "hrnet_ocr_aligned": {"width": "w18_small_v1"},
    "setr_naive_bicubic_aligned": VIT,
    "setr_pup_aligned": VIT,
    "setr_mla_class_token": VIT,
}
"""What no tensor and no configuration tells of the small networks that stand for the published ones."""
MODEL = (
    "model = dict(type='EncoderDecoder', backbone=dict(type='ResNetV1c', depth=50, strides=(1, 2, 1, 1), "
    "dilations=(1, 1, 2, 4), contract_dilation=True), decode_head=dict(type='FCNHead', align_corners=True))"
)


OLD = "dict(type='Normalize', mean=[1, 2, 3], std=[4, 5, 6], to_rgb=False)"


def written(option: str) -> tuple[str, dict[str, Any], dict[str, Any], np.ndarray[Any, Any]]:
    """The network that a checkpoint of mmsegmentation shall become, its tensors, its meta and its logits."""
    with np.load(OPTIONS / f"{option}.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
        shapes = {key: tuple(map(int, sides)) for key, *sides in lines}
        return str(file["network"]), dict(drawn(shapes)), {"cfg": str(file["config"])}, file["logits"]


@pytest.mark.slow_after(8)
@pytest.mark.parametrize("option", sorted(path.stem for path in OPTIONS.glob("*.npz")))
def test_a_checkpoint_answers_as_the_network_of_its_configuration(option: str) -> None:
    name, state, meta, expected = written(option)
    fitted = fit(name, strip_wrapper({"state_dict": state}), chosen=CHOSEN.get(option), metadata={"meta": meta})
    assert fitted.config is not None
    with torch.inference_mode():
        size = (64, 96) if name.startswith("unet") else (65, 97)
        logits = fitted.network(pixels(*size)).numpy()[..., ::4, ::4]
    if fitted.sigmoid:  # one channel z becomes the two 0 and z less the logit of the threshold
        expected = np.concatenate([0 * expected, expected - np.log(0.4 / 0.6)], axis=1)
    assert np.abs(logits - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("option", ["fcn_aligned", "deeplabv3_multi_grid", "hrnet_aligned"])
def test_without_the_configuration_the_answer_is_another_one_and_what_is_assumed_is_told(option: str) -> None:
    name, state, _, expected = written(option)
    fitted = fit(name, strip_wrapper(state), chosen=CHOSEN.get(option))
    with torch.inference_mode():
        logits = fitted.network(pixels(65, 97)).numpy()[..., ::4, ::4]
    assert np.abs(logits - expected).max() > 0.01 * np.abs(expected).max()
    assert fitted.assumed["align_corners"] is False
    assert name.startswith("hrnet") or fitted.assumed["output_stride"] == 8


def test_what_is_chosen_counts_before_the_configuration() -> None:
    name, state, meta, _ = written("fcn_aligned")
    fitted = fit(
        name, strip_wrapper(state), chosen={"align_corners": False, "output_stride": 16}, metadata={"meta": meta}
    )
    assert fitted.network.body.align_corners is False
    assert fitted.options["output_stride"] == 16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("type='ResNetV1c'", "type='ResNeXt'"), r"model\.backbone\.type='ResNeXt'"),
        (("type='ResNetV1c'", "type='ResNetV1d'"), r"model\.backbone\.type='ResNetV1d'"),
        (("(1, 2, 1, 1)", "(1, 1, 1, 1)"), r"model\.backbone\.strides=\(1, 1, 1, 1\)"),
        (("depth=50", "depth=50, style='caffe'"), r"model\.backbone\.style='caffe'"),
        (("depth=50", "depth=50, dcn=dict(type='DCN')"), r"model\.backbone\.dcn="),
        (("depth=50", "depth=50, plugins=[dict(cfg=dict())]"), r"model\.backbone\.plugins="),
        (("depth=50", "depth=50, norm_cfg=dict(type='GN')"), r"model\.backbone\.norm_cfg="),
        (("depth=50", "depth=50, norm_cfg=dict(type='BN', eps=0.001)"), r"model\.backbone\.norm_cfg="),
        (("align_corners=True", "act_cfg=dict(type='HSwish')"), r"model\.decode_head\.act_cfg="),
        (("align_corners=True", "conv_cfg=dict(type='ConvWS')"), r"model\.decode_head\.conv_cfg="),
        (("type='FCNHead'", "type='DAHead'"), r"model\.decode_head\.type='DAHead'"),
        (("type='EncoderDecoder'", "type='DepthEstimator'"), r"model\.type='DepthEstimator'"),
        (("type='FCNHead'", "type='PSPHead'"), "asks for bins="),
    ],
)
def test_what_no_network_does_is_refused_by_name(change: tuple[str, str], words: str) -> None:
    _, state, _, _ = written("fcn_aligned")
    with pytest.raises(ModelError, match=words):
        fit(
            "fcn_r18",
            strip_wrapper(state),
            metadata={
                "meta": {
                    "cfg": MODEL.replace("depth=50", "depth=18").replace(
                        *((change[0].replace("50", "18"), change[1].replace("50", "18")))
                    )
                }
            },
        )


def test_another_number_of_heads_is_refused() -> None:
    name, state, meta, _ = written("setr_naive_bicubic_aligned")
    meta["cfg"] = meta["cfg"].replace("num_heads=2", "num_heads=4")
    with pytest.raises(ModelError, match=r"model\.backbone\.num_heads=4"):
        fit(name, strip_wrapper(state), chosen=VIT, metadata={"meta": meta})


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        "/home/me/configs/fcn.py\n" + MODEL + "\n_base_ = [\n",
        "hook = <function f at 0x7f>\n" + MODEL + "\nlog = dict(level=logging.INFO)\n",
        "norm = dict(type='BN')\n" + MODEL.replace("depth=50", "depth=50, norm_cfg=norm"),
    ],
)
def test_texts_of_every_age_are_read(text: str) -> None:
    for meta in ({"cfg": text}, {"config": text, "mmseg_version": "0.11.0"}):
        config = read_mmseg_config(meta)
        assert config is not None
        assert config.model["backbone"]["dilations"] == (1, 1, 2, 4)


@pytest.mark.parametrize(
    ("rest", "normalisation", "window"),
    [
        ("", None, None),
        (
            "data_preprocessor = dict(mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True)",
            ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), False),
            None,
        ),
        ("data_preprocessor = dict(mean=[1, 2, 3], std=[4, 5, 6])", ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), True), None),
        ("data_preprocessor = dict(bgr_to_rgb=True)", ((0.0,), (1.0,), False), None),
        (
            "data_preprocessor = dict(mean=[1], std=[2])\ntest_pipeline = [dict(type='LoadSingleRSImageFromFile')]",
            ((1.0,), (2.0,), False),
            None,
        ),
        (
            f"test_pipeline = [dict(type='LoadImageFromFile'), dict(type='MultiScaleFlipAug', transforms=[{OLD}])]",
            ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), True),
            None,
        ),
        ("img_norm_cfg = dict(mean=[1, 2, 3], std=[4, 5, 6])", ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), False), None),
        ("test_cfg = dict(mode='slide', crop_size=769, stride=(513, 400))", None, ((769, 769), (513, 400))),
        ("test_cfg = dict(mode='whole')", None, None),
        ("data_preprocessor = dict(mean=[1, 2], std=[0, 1])", None, None),
    ],
)
def test_scaling_and_windows_are_read(
    rest: str, normalisation: tuple[Any, ...] | None, window: tuple[Any, ...] | None
) -> None:
    config = read_mmseg_config({"cfg": f"{MODEL}\n{rest}"})
    assert config is not None
    found = config.normalisation
    assert (None if found is None else (found.mean, found.std, found.bgr)) == normalisation
    assert (None if config.window is None else (config.window.crop_px, config.window.stride_px)) == window


CODE = [
    "open('trap', 'w')",
    "__import__('os').mkdir('trap')",
    "[x for x in ()]",
    "(lambda: 1)()",
    "f'{1}'",
    "a.b",
    "1 + 1",
]


@pytest.mark.parametrize("code", CODE)
def test_code_in_a_configuration_is_neither_run_nor_a_value(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_mmseg_config({"cfg": f"other = {code}\n{MODEL}"}) is not None
    with pytest.raises(UnreadableConfigError):
        read_mmseg_config({"cfg": MODEL.replace("depth=50", f"depth={code}")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "model = " + "[" * 100_000,
        "model = " + "-" * 100_000 + "1",
        "a = [1, 1]\n" + "a = [a, a]\n" * 5000 + "model = dict(backbone=dict(type=a))",
        "x" * 2_000_000,
        "model = dict(backbone={1: {2: 3}, **{}})",
        "model = dict([1, 2])",
        "model = 3",
        "",
        b"bytes",
        7,
    ],
)
def test_texts_that_are_no_configuration_end_in_words(text: Any) -> None:
    if not text:
        assert read_mmseg_config({"cfg": text}) is None
        return
    with pytest.raises(UnreadableConfigError, match="cannot be read"):
        read_mmseg_config({"cfg": text})


def test_an_unreadable_configuration_asks_for_what_it_would_have_told() -> None:
    name, state, _, _ = written("fcn_aligned")
    metadata = {"meta": {"cfg": "model = build()"}}
    with pytest.raises(ModelError, match=r"cannot be read.* output_stride=VALUE, --option align_corners=VALUE"):
        fit(name, strip_wrapper(state), metadata=metadata)
    fit(name, strip_wrapper(state), chosen={"output_stride": 8, "align_corners": True}, metadata=metadata)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(value=plain)
def test_any_plain_value_is_read_as_python_writes_it(value: Any) -> None:
    config = read_mmseg_config({"cfg": f"model = dict(backbone=dict(x={value!r}))"})
    assert config is not None
    assert config.model["backbone"]["x"] == value


@pytest.mark.parametrize(("form", "rates"), [("factors", (2, 4, 8)), ("rates", (1, 2, 4))])
@pytest.mark.parametrize("name", ["deeplabv3_r50", "deeplabv3plus_r50"])
def test_both_conventions_of_the_multi_grid_have_a_name(name: str, form: str, rates: tuple[int, ...]) -> None:
    """Chen et al. 2017 multiply the stage's rate, 2 at output stride 16; mmsegmentation's ``d16-mg124`` does not."""
    options = {"backbone": "resnet50", "output_stride": 16, "multi_grid": (1, 2, 4), "multi_grid_form": form}
    with torch.device("meta"):
        network = build(name, 3, 2, auxiliary=False, **options)
    assert tuple(block.conv2.dilation[0] for block in network.body.backbone.layer4) == rates


WRONG = [None, True, 0, -1, 3.5, "abc", [], (), {}, (1, "a"), {"type": 3}, [{}], [None], 10**30, float("nan"), b"x"]


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return [place, *(found for key, one in inner for found in _places(one, (*place, key)))]


def _with(value: Any, place: tuple[Any, ...], wrong: Any) -> Any:
    if not place:
        return wrong
    if isinstance(value, dict):
        return {**value, place[0]: _with(value[place[0]], place[1:], wrong)}
    return type(value)(_with(one, place[1:], wrong) if at == place[0] else one for at, one in enumerate(value))


@pytest.mark.parametrize("option", ["fcn_one_channel", "fastfcn_aligned_rates", "setr_pup_aligned", "unet_psp_aligned"])
def test_wrong_values_in_a_configuration_end_in_words(option: str) -> None:
    name, _, meta, _ = written(option)
    config = read_mmseg_config(meta)
    assert config is not None
    whole = {"model": dict(config.model), "data_preprocessor": {"mean": [1, 2, 3], "std": [1, 2, 3], "size": (5, 6)}}
    chance = random.Random(0)  # noqa: S311 - damage, no secret
    places = _places(whole)
    for _ in range(300):
        damaged = _with(whole, chance.choice(places), chance.choice(WRONG))
        try:
            read = read_mmseg_config({"cfg": damaged})
            if read is not None:
                single_threshold(read)
                mmseg_options(read, name, options(name))
        except (ModelError, UnreadableConfigError):
            continue
