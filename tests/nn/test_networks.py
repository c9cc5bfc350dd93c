"""What every network of the registry promises, asked of each of them."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geoseg.errors import ModelError
from geoseg.models.export_model import to_onnx, to_torchscript
from geoseg.nn import NETWORKS, build
from geoseg.nn.padding import mirror
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.testing.networks import MakeNetwork, NetworkTests, TinyNetwork, tiny_networks

TINY = tiny_networks()
VIT = TINY["setr_naive_l"].form.options
NARROW = TINY["fcn_r50"].form.options


class TestNetworks(NetworkTests):
    @pytest.fixture(scope="class", params=TINY)
    @classmethod
    def tiny(cls, request: pytest.FixtureRequest) -> TinyNetwork:
        return TINY[request.param]

    @pytest.fixture(scope="class")
    @classmethod
    def make_network(cls, tiny: TinyNetwork) -> MakeNetwork:
        return tiny.make

    @pytest.fixture(scope="class")
    @classmethod
    def pools_by_maxima(cls, tiny: TinyNetwork) -> bool:
        return tiny.form.pools_by_maxima

    @pytest.fixture(scope="class")
    @classmethod
    def idle_weights(cls, tiny: TinyNetwork) -> tuple[str, ...]:
        return tiny.form.idle_weights

    @pytest.mark.slow
    def test_converted_to_openvino_it_answers_the_same(self, network: nn.Module) -> None:
        _converted_to_openvino_it_answers_the_same(network)

    @pytest.mark.slow
    def test_as_onnx_and_torchscript_it_answers_the_same(self, network: nn.Module, tmp_path: Path) -> None:
        _as_onnx_and_torchscript_it_answers_the_same(network, tmp_path)


def one_of(form: str) -> nn.Module:
    torch.manual_seed(0)
    return TINY[form].make(3, 4).eval()


def test_every_family_of_the_registry_states_a_tiny_form() -> None:
    families = {entry.family.builder for entry in NETWORKS.values()}
    assert {entry.family.builder for entry in NETWORKS.values() if entry.tiny} == families


def _converted_to_openvino_it_answers_the_same(network: nn.Module) -> None:
    openvino = pytest.importorskip("openvino")
    x = torch.randn(1, 3, 64, 96)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(network, example_input=x)
        expected = network(x).numpy()
    precise = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    answer = openvino.compile_model(converted, "CPU", precise)(x.numpy())[0]
    np.testing.assert_allclose(answer, expected, atol=1e-3 * np.abs(expected).max(), rtol=1e-3)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("form", ["unet light", "fcn8s", "segnet plain"])
def test_converted_to_openvino_it_answers_the_same(form: str) -> None:
    _converted_to_openvino_it_answers_the_same(one_of(form))


def _as_onnx_and_torchscript_it_answers_the_same(network: nn.Module, folder: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = network(x).numpy()
    for export, tolerance in ((to_onnx, 1e-3), (to_torchscript, 1e-5)):
        answer = export(network, x, folder / "network")
        np.testing.assert_allclose(answer, expected, atol=tolerance * np.abs(expected).max(), rtol=tolerance)


def test_as_onnx_and_torchscript_it_answers_the_same(tmp_path: Path) -> None:
    _as_onnx_and_torchscript_it_answers_the_same(one_of("unet light"), tmp_path)


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
    with pytest.raises(ModelError, match=r"known: .*unet, .*unetplusplus"):
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
        ("unet", {"copies": "pool"}, "copies and align_corners are for ragged='stretch' alone"),
        ("segnet", {"form": "sum"}, "forms unpool and concat, not 'sum'"),
        ("fcn8s", {"rise": "bicubic"}, "transpose, bilinear or nearest, not 'bicubic'"),
        ("fcn_r50", {"rise": "nearest"}, "bilinear and transpose, not 'nearest'"),
        ("pspnet_r50", {"pooling": "maximum"}, "adaptive and strided, not 'maximum'"),
        ("deeplabv3plus", {"output_stride": 32}, "8 or 16"),
        ("deeplabv3plus", {"backbone": "resnet999"}, "resnet999"),
        ("hrnet", {"width": "w64"}, "known: w18_small_v1"),
        ("timm_unet", {"encoder": "resnet999"}, "resnet999"),
        ("timm_unet", {"encoder": "vit_tiny_patch16_224", "widths": [8]}, "feature maps, so widths needs"),
        ("timm_unet", {"widths": [8, 8]}, "5 feature maps, so widths needs 4"),
        ("unet", {"width": "wide"}, "option width='wide': input should be a valid integer"),
        ("unet", {"width": 2.5}, "option width=2.5"),
        ("unet", {"widths": "ab"}, "option widths='ab'"),
        ("unetplusplus", {"widths": 3}, "option widths=3"),
        ("timm_unet", {"widths": None}, "option widths=None"),
        ("deeplabv2_r101", {"scales": 0.5}, "option scales=0.5"),
        ("deeplabv2_r101", {"scales": [0.5, -1]}, r"option scales=\[0.5, -1\]: pass numbers above 0"),
        ("deeplabv2_r101", {"rates": []}, "needs at least one rate"),
        ("duc_hdc_r101", {"fourth_rates": 3}, "option fourth_rates=3"),
        ("duc_hdc_r101", {"third_rates": []}, "needs at least one rate"),
        ("deeplabv3_r50", {"multi_grid": 2}, "option multi_grid=2"),
        ("refinenet_r101", {"width": 0}, "option width=0: pass numbers above 0"),
        ("setr_pup_b", {"image_px": 0}, "option image_px=0"),
        ("fcn_r50", {"auxiliary": "no"}, "option auxiliary='no': input should be a valid boolean"),
        ("pspnet_r50", {"first_block": "next"}, "first_block prev or same"),
        ("fcn_r50", {"backbone": 5}, "option backbone=5"),
        ("fcn_r50", {"head": "score"}, "has the heads plain, concat, scores and 1 to 4"),
        ("fcn_r18", {"head": "scores", "scored_stages": 5}, "1 to 4 scored_stages, not 'scores', 5"),
        ("fpn_r50", {"form": "paper"}, "takes the forms mmseg and vedaseg, not 'paper'"),
        ("unet_r50", {"decoder_widths": [8, 8]}, "5 feature maps, so decoder_widths needs as many numbers, not"),
        ("setr_naive_b", {"form": "paper"}, "takes the forms mmseg and authors, not 'paper'"),
        ("fcn_r50", {"backbone": "drn_d_54"}, "has two feature maps, for DeepLab V3\\+ alone: choose a ResNet"),
        ("deeplabv3plus", {"backbone": "drn_d_54"}, "takes output_stride 8, not 16"),
        ("psanet_r50", {"direction": "bi"}, "takes the directions collect, distribute, both"),
        ("unet", {"ragged": "stretch"}, "needs convolution='valid'"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build(name, 3, 2, **options)


def test_wrong_options_of_smp_are_named() -> None:
    pytest.importorskip("segmentation_models_pytorch", reason="segmentation_models_pytorch is an extra")
    with pytest.raises(ModelError, match="smp's Unet cannot be built"):
        build("smp_unet", 3, 2, decoder_channels=3)
    with pytest.raises(ModelError, match="option encoder=5: input should be a valid string"):
        build("smp_unet", 3, 2, encoder=5)


@pytest.mark.parametrize(("bands", "classes"), [(0, 2), (3, 0)])
def test_a_network_needs_bands_and_classes(bands: int, classes: int) -> None:
    with pytest.raises(ModelError, match="at least one"):
        build("unet", bands, classes)


def test_importing_the_registry_loads_no_zoo() -> None:
    code = "import sys, geoseg.nn; sys.exit('timm' in sys.modules or 'geoseg.nn.unet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_auxiliary_answers_come_at_the_inputs_size_and_only_when_asked() -> None:
    torch.manual_seed(0)
    network = build("fcn_r50", 3, 4, **NARROW).eval()
    plain = build("fcn_r50", 3, 4, **NARROW, auxiliary=False).eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if ".sides." not in k})
    x = torch.randn(2, 3, 33, 50)
    with torch.inference_mode():
        logits, (auxiliary,) = forward_all(network, x)
        assert auxiliary.logits.shape == logits.shape
        assert torch.equal(plain(x), logits)
        assert torch.equal(network(x), logits)
        assert forward_all(plain, x)[1] == ()


@pytest.mark.parametrize(("name", "changes"), [("pspnet_r50", NARROW), ("setr_naive_l", VIT)])
def test_keeping_fewer_activations_gives_the_same_gradients(name: str, changes: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = build(name, 3, 4, **changes).eval()
    x = torch.randn(1, 3, 40, 40)
    gradients = []
    for fewer in (False, True):
        network.set_grad_checkpointing(fewer)
        assert any(getattr(m, "grad_checkpointing", False) for m in network.modules()) == fewer
        network.zero_grad()
        network(x).square().mean().backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
