"""What every network of the registry promises, asked of each of them."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from geoseg.errors import ModelError
from geoseg.nn import NETWORKS, build
from geoseg.nn.padding import mirror

FORMS = {
    "unet": ("unet", {"width": 4}),
    "unet of the paper": ("unet", {"width": 4, "convolution": "valid", "norm": None}),
    "unet bilinear": ("unet", {"width": 4, "up": "bilinear"}),
    "unet light": ("unet", {"widths": [8, 12, 16], "stem_stride": 2, "residual": True}),
    "deeplabv3plus": ("deeplabv3plus", {"backbone": "resnet18", "width": 16}),
    "hrnet": ("hrnet", {"width": "w18_small_v1"}),
}


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return FORMS[request.param]


@pytest.fixture(scope="module")
def network(form: tuple[str, dict[str, object]]) -> nn.Module:
    torch.manual_seed(0)
    return build(form[0], 3, 4, **form[1]).eval()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (33, 64), (95, 33)])
def test_logits_have_the_inputs_size(network: nn.Module, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, 4, *size)
    assert torch.isfinite(logits).all()


def test_every_form_of_the_registry_is_tested() -> None:
    assert {name for name, _ in FORMS.values()} == set(NETWORKS)


@pytest.mark.parametrize(("bands", "classes"), [(1, 6), (4, 1), (10, 3)])
def test_any_number_of_bands_and_classes(form: tuple[str, dict[str, object]], bands: int, classes: int) -> None:
    network = build(form[0], bands, classes, **form[1]).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, bands, 32, 48)).shape == (1, classes, 32, 48)


def test_the_seed_decides_the_weights(form: tuple[str, dict[str, object]]) -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(build(form[0], 2, 2, **form[1]).state_dict().values())

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_body_works_in_multiples_of_its_stride(network: nn.Module) -> None:
    if network.__class__.__name__ == "UNet" and network.margin_px:
        pytest.skip("unpadded convolutions mirror on all four sides")
    stride = network.stride
    assert isinstance(stride, int)
    x = torch.randn(1, 3, 2 * stride, 3 * stride)
    with torch.inference_mode():
        ragged = network(x[..., :-1, :-3])
        whole = network(mirror(x[..., :-1, :-3], (0, 1), (0, 3)))[..., :-1, :-3]
    torch.testing.assert_close(ragged, whole)


def test_bfloat16_and_channels_last_change_little(network: nn.Module) -> None:
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        plain = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x.contiguous(memory_format=torch.channels_last))
    assert (half.float() - plain).abs().max() < 0.1 * plain.abs().max() + 0.02


def test_one_batch_can_be_learnt_by_heart(form: tuple[str, dict[str, object]]) -> None:
    torch.manual_seed(0)
    network = build(form[0], 3, 2, **form[1]).train()
    x = torch.randn(2, 3, 48, 48)
    target = (torch.nn.functional.avg_pool2d(x[:, :1], 9, 1, 4)[:, 0] > 0).long()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(network(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_exported_by_torch_it_answers_the_same(network: nn.Module) -> None:
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), network(x))


def test_converted_to_openvino_it_answers_the_same(network: nn.Module) -> None:
    openvino = pytest.importorskip("openvino")
    x = torch.randn(1, 3, 64, 96)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(network, example_input=x)
        expected = network(x).numpy()
    precise = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    answer = openvino.compile_model(converted, "CPU", precise)(x.numpy())[0]
    np.testing.assert_allclose(answer, expected, atol=1e-3 * np.abs(expected).max(), rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "bands", "classes", "options", "count"),
    [
        ("unet", 1, 2, {"convolution": "valid", "norm": None}, 31_030_658),
        ("unet", 1, 1, {"convolution": "valid", "norm": None, "width": 32}, 7_759_521),
        ("unet", 3, 2, {}, 31_037_698),
        ("unet", 3, 2, {"up": "bilinear"}, 17_263_042),
        ("deeplabv3plus", 3, 19, {"backbone": "resnet50c"}, 41_225_187),
        ("deeplabv3plus", 3, 19, {"backbone": "resnet101c"}, 60_217_315),
        ("hrnet", 3, 19, {"width": "w48"}, 65_859_379),
        ("hrnet", 3, 19, {"width": "w18_small_v2"}, 3_939_579),
        ("hrnet", 3, 19, {"width": "w18_small_v1"}, 1_540_819),
    ],
)
def test_parameters_are_as_many_as_published(
    name: str, bands: int, classes: int, options: dict[str, object], count: int
) -> None:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no-op.*")
        network = build(name, bands, classes, **options)
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_papers_unet_maps_572_pixels_to_388() -> None:
    network = build("unet", 1, 2, convolution="valid", norm=None, width=2).eval()
    x = torch.randn(1, 1, 388, 388)
    mirrored = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (92, 92), (92, 92)), mode="reflect"))
    with torch.inference_mode():
        direct = network.body(mirrored)
        assert direct.shape == (1, 2, 388, 388)
        torch.testing.assert_close(network(x), direct)


def test_the_papers_unet_follows_its_input_when_it_shifts() -> None:
    """Unpadded convolutions know no border: a shift by the stride shifts the answer, wherever margin allows."""
    network = build("unet", 1, 2, convolution="valid", norm=None, width=2).eval()
    x = torch.randn(1, 1, 260, 260)
    with torch.inference_mode():
        here, there = network(x), network(torch.roll(x, (16, 16), (2, 3)))
    inner = slice(network.margin_px + 16, 260 - network.margin_px - 16)
    moved = torch.roll(here, (16, 16), (2, 3))
    torch.testing.assert_close(moved[..., inner, inner], there[..., inner, inner], atol=2e-4, rtol=1e-3)


def test_hrnet_takes_raw_branches_and_raises_them_bilinearly() -> None:
    network = build("hrnet", 3, 2, width="w18_small_v1")
    backbone = network.body.backbone
    assert backbone.feature_info.channels() == [16, 32, 64, 128]
    modes = {m.mode for m in backbone.modules() if isinstance(m, nn.Upsample)}
    assert modes == {"bilinear"}
    assert not any("incre" in name for name, _ in backbone.named_parameters())


def test_deeplab_keeps_the_previous_rate_in_the_first_block_of_a_dilated_stage() -> None:
    network = build("deeplabv3plus", 3, 2, backbone="resnet50", output_stride=8)
    backbone = network.body.backbone
    rates = {n: m.dilation[0] for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d) and "conv2" in n}
    assert (rates["layer3.0.conv2"], rates["layer3.1.conv2"]) == (1, 2)
    assert (rates["layer4.0.conv2"], rates["layer4.1.conv2"]) == (2, 4)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (9, 4)])
@pytest.mark.parametrize("rows", [(0, 0), (0, 1), (3, 17)])
def test_mirror_pads_as_numpy_does(size: tuple[int, int], rows: tuple[int, int]) -> None:
    x = torch.randn(1, 2, *size)
    cols = (rows[1], rows[0])
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), rows, cols), mode="reflect")
    np.testing.assert_array_equal(mirror(x, rows, cols).numpy(), expected)


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"'unett' is unknown; nearest: unet"):
        build("unett", 3, 2)
    with pytest.raises(ModelError, match="known: deeplabv3plus, hrnet, unet"):
        build("zzz", 3, 2)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("unet", {"colour": 1}, "its options are width, depth"),
        ("unet", {"norm": "group"}, "no such form"),
        ("unet", {"stem_stride": 3}, "stem_stride"),
        ("unet", {"convolution": "valid", "stem_stride": 2}, "stem_stride"),
        ("unet", {"residual": True, "norm": None}, "residual"),
        ("unet", {"widths": [8]}, "two or more levels"),
        ("deeplabv3plus", {"output_stride": 32}, "8 or 16"),
        ("deeplabv3plus", {"backbone": "resnet999"}, "resnet999"),
        ("hrnet", {"width": "w64"}, "known: w18_small_v1"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build(name, 3, 2, **options)


@pytest.mark.parametrize(("bands", "classes"), [(0, 2), (3, 0)])
def test_a_network_needs_bands_and_classes(bands: int, classes: int) -> None:
    with pytest.raises(ModelError, match="at least one"):
        build("unet", bands, classes)


def test_importing_the_registry_loads_no_zoo() -> None:
    code = "import sys, geoseg.nn; sys.exit('timm' in sys.modules or 'geoseg.nn.unet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
