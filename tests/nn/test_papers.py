"""What the papers say of their networks, and no count of parameters shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn import build
from geoseg.nn.fcn import _transposed
from geoseg.nn.parsenet import L2Norm
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.nn.parts.encoding import Encoding
from geoseg.nn.parts.jpu import JPU
from geoseg.nn.parts.ocr import ObjectAttention, gather
from geoseg.nn.parts.rcu import CRP, RCU
from geoseg.nn.segnet import _unpool


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


@pytest.mark.parametrize("form", ["authors", "mmseg"])
def test_hrnet_takes_raw_branches_and_raises_them_bilinearly(form: str) -> None:
    """The authors resize to the finer branch; mmsegmentation by a whole factor first, which differs at odd sizes."""
    backbone = build("hrnet", 3, 2, width="w18_small_v1", form=form).body.backbone.eval()
    assert backbone.feature_info.channels() == [16, 32, 64, 128]
    assert not any("incre" in name for name, _ in backbone.named_parameters())
    fusion = backbone.stage4[0]
    sizes = [(16, 17, 25), (32, 9, 13), (64, 5, 7), (128, 3, 4)]
    maps = [torch.randn(1, *size) for size in sizes]
    with torch.inference_mode():
        finest, *coarser = [branch(x) for branch, x in zip(fusion.branches, maps, strict=True)]
        total = finest
        for place, x in enumerate(coarser, start=1):
            convolution, norm = list(fusion.fuse_layers[0][place])[:2]
            raised = norm(convolution(x))
            if form == "mmseg":
                raised = functional.interpolate(raised, scale_factor=2**place, mode="bilinear", align_corners=False)
            total = total + functional.interpolate(raised, size=(17, 25), mode="bilinear", align_corners=False)
        answers = fusion(maps)
    assert [tuple(answer.shape[1:]) for answer in answers] == sizes
    torch.testing.assert_close(answers[0], total.relu())


def test_deeplab_keeps_the_previous_rate_in_the_first_block_of_a_dilated_stage() -> None:
    network = build("deeplabv3plus", 3, 2, backbone="resnet50", output_stride=8)
    backbone = network.body.backbone
    rates = {n: m.dilation[0] for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d) and "conv2" in n}
    assert (rates["layer3.0.conv2"], rates["layer3.1.conv2"]) == (1, 2)
    assert (rates["layer4.0.conv2"], rates["layer4.1.conv2"]) == (2, 4)


def _means_for_maxima(patch: pytest.MonkeyPatch) -> None:
    """A maximum passes the gradient of one input only; the mean of the same window passes that of all."""

    def mean(x: Tensor, size: int, stride: int | None = None, padding: int = 0, *, ceil_mode: bool = False) -> Tensor:
        return functional.avg_pool2d(x, size, stride, padding, ceil_mode)

    patch.setattr(functional, "max_pool2d", mean)


def _influence(answer: Tensor, x: Tensor) -> np.ndarray:
    """Influence of each input row on an answer."""
    (gradient,) = torch.autograd.grad(answer, x)
    return gradient.abs().sum((0, 1, 3)).double().numpy()


@pytest.mark.parametrize("stream", ["score", "score_pool4", "score_pool3"])
def test_every_stream_of_fcn_8s_answers_where_it_looks(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offsets of the crops undo what padding, pools and the 7x7 layer shift, for each stream by itself."""
    _means_for_maxima(monkeypatch)
    network = build("fcn8s", 1, 1, width=1, hidden=1).eval()
    for name, weight in network.named_parameters():
        if "rise" not in name:
            nn.init.constant_(weight, 1.0 if weight.ndim > 1 else 0.0)
        if "score" in name and f"{stream}." not in name:
            nn.init.zeros_(weight)
    x = torch.full((1, 1, 832, 832), 1e-3, requires_grad=True)
    block = slice(400, 432)
    rows = _influence(network(x)[0, 0, block, block].sum(), x)
    centre = (rows * np.arange(len(rows))).sum() / rows.sum()
    assert centre == pytest.approx((block.start + block.stop - 1) / 2, abs=1e-3)


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_fcn_begins_by_raising_its_scores_bilinearly(factor: int) -> None:
    ramp = torch.arange(6.0).expand(1, 2, 6, 6)
    raised = _transposed(2, factor)(ramp)
    inner = slice(2 * factor, -2 * factor)
    np.testing.assert_allclose(raised[..., inner, inner].diff(dim=-1).detach(), 1 / factor, rtol=1e-4)


def test_large_fov_reaches_as_far_as_its_layers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel, stride and rate of each layer as the paper lists them."""
    layers = [(3, 1, 1)] * 2 + [(3, 2, 1)] + [(3, 1, 1)] * 2 + [(3, 2, 1)] + [(3, 1, 1)] * 3 + [(3, 2, 1)]
    layers += [(3, 1, 1)] * 4 + [(3, 1, 2)] * 3 + [(3, 1, 1)] * 2 + [(3, 1, 12)]
    reach, jump = 1, 1
    for kernel, stride, rate in layers:
        reach, jump = reach + (kernel - 1) * rate * jump, jump * stride
    _means_for_maxima(monkeypatch)
    trunk = build("deeplabv1", 1, 1, width=1, hidden=1).eval().body.backbone
    for weight in trunk.parameters():
        nn.init.constant_(weight, 0.5 if weight.ndim > 1 else 0.0)
    x = torch.ones(1, 1, 560, 560, requires_grad=True)
    features = trunk(x)[0]
    assert (features.shape[-1] - 1) * jump <= 560 <= features.shape[-1] * jump
    rows = _influence(features[0, 0, 35, 35], x).nonzero()[0]
    assert rows[-1] - rows[0] + 1 == reach


def _randomised(network: nn.Module) -> nn.Module:
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.1)
    return network.eval()


def test_parsenets_norm_is_of_length_one_times_a_scale_for_each_channel() -> None:
    norm = L2Norm(5, 10.0)
    norm.scale.data = torch.arange(1.0, 6.0)
    x = torch.randn(2, 5, 3, 4)
    expected = x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True) * np.arange(1, 6)[:, None, None]
    np.testing.assert_allclose(norm(x).detach(), expected, rtol=1e-5)


def test_parsenet_does_not_feel_how_long_its_features_are() -> None:
    network = _randomised(build("parsenet", 3, 4, width=4, hidden=8))
    x = torch.randn(1, 3, 40, 48)
    with torch.inference_mode():
        features = network.body.backbone(x)
        here = network.body.neck(features)[-1]
        there = network.body.neck([17 * features[-1]])[-1]
    torch.testing.assert_close(here, there)


def test_parsenets_context_is_the_same_everywhere_and_leaves_the_trunk_alone() -> None:
    """Whose classifier is blind to the context is LargeFOV on normalised features."""
    network = _randomised(build("parsenet", 3, 4, width=4, hidden=8))
    network.body.head.weight.data[:, 8:] = 0
    x = torch.randn(1, 3, 40, 48)
    with torch.inference_mode():
        (joined,) = network.body.neck(network.body.backbone(x))
        assert joined[:, 8:].std((2, 3)).max() < 1e-6
        local = network.body.neck.local_norm(network.body.backbone(x)[0])
        alone = functional.conv2d(local, network.body.head.weight[:, :8], network.body.head.bias)
        whole = functional.interpolate(alone, size=x.shape[-2:], mode="bilinear", align_corners=True)
        torch.testing.assert_close(network(x), whole)


def test_segnet_puts_values_back_as_torchs_unpooling_does() -> None:
    whole = torch.randn(2, 3, 7, 10)
    pooled, places = functional.max_pool2d(whole, 2, return_indices=True)
    expected = nn.MaxUnpool2d(2)(pooled, places, output_size=whole.shape)
    assert torch.equal(_unpool(pooled, places, whole), expected)


def test_a_shallower_answer_of_unetplusplus_needs_no_deeper_node() -> None:
    """Which lets the trained network be cut (section 3.2)."""
    network = _randomised(build("unetplusplus", 1, 2, widths=[4, 4, 4, 4]))
    x = torch.randn(1, 1, 16, 16)
    logits, beside = forward_all(network, x)
    assert torch.equal(logits, network(x))
    for depth, answer in enumerate([*(a.logits for a in beside), logits], start=1):
        network.zero_grad(set_to_none=True)
        answer.sum().backward(retain_graph=True)
        used = {name for name, node in network.body.nodes.items() if next(node.parameters()).grad is not None}
        assert used == {f"{i}_{j}" for i in range(depth + 1) for j in range(depth + 1 - i)}


@pytest.mark.parametrize(("rows", "cols"), [(64, 64), (65, 97)])
def test_deeplab_v2_takes_the_largest_logits_of_its_scales(rows: int, cols: int) -> None:
    """As kazuto1011/deeplab-pytorch does: the input by ``scale_factor``, answers to the size of the whole one's."""
    torch.manual_seed(0)
    network = build("deeplabv2_r101", 3, 2, backbone="test_resnet").eval()
    single = build("deeplabv2_r101", 3, 2, backbone="test_resnet", scales=()).eval()
    single.load_state_dict(network.state_dict())
    x = torch.randn(1, 3, rows, cols)
    # the first pool rounds up, as Caffe's: 9 of 64, not 8
    whole = rows // 8 + 1, cols // 8 + 1
    with torch.inference_mode():
        answers = []
        for scale in (1.0, 0.5, 0.75):
            smaller = functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            logits = single.body.head(single.body.backbone(smaller)[-1])
            answers.append(functional.interpolate(logits, size=whole, mode="bilinear", align_corners=False))
        expected = functional.interpolate(torch.stack(answers).amax(0), size=(rows, cols), mode="bilinear")
        torch.testing.assert_close(network(x), expected)


def test_deeplab_v2_strides_where_caffe_did() -> None:
    with torch.device("meta"):
        backbone = build("deeplabv2_r101", 3, 2).body.backbone
    block = backbone.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
    assert backbone.maxpool.ceil_mode
    assert {b.conv2.dilation for b in backbone.layer3} == {(2, 2)}
    assert {b.conv2.dilation for b in backbone.layer4} == {(4, 4)}


def test_deeplab_v3s_grid_multiplies_the_rate_of_the_last_stage() -> None:
    with torch.device("meta"):
        stages = {s: build("deeplabv3_r50", 3, 2, output_stride=s, multi_grid=(1, 2, 4)) for s in (8, 16)}
    rates = {s: [b.conv2.dilation[0] for b in n.body.backbone.layer4] for s, n in stages.items()}
    assert rates == {16: [2, 4, 8], 8: [4, 8, 16]}


def test_regions_are_the_means_of_what_belongs_to_them() -> None:
    features = torch.randn(2, 5, 4, 6)
    codes = torch.randint(0, 3, (2, 4, 6))
    certain = 1000.0 * functional.one_hot(codes, 3).movedim(-1, 1)
    regions = gather(features, certain)
    for image in range(2):
        for region in range(3):
            expected = features[image][:, codes[image] == region].mean(1)
            torch.testing.assert_close(regions[image, :, region, 0], expected)


def test_where_there_is_one_region_every_pixel_attends_to_it() -> None:
    attention = ObjectAttention(6, 4).eval()
    context = attention(torch.randn(1, 6, 3, 5), torch.randn(1, 6, 1, 1))
    assert context.std((2, 3)).max() < 1e-6
    assert context.abs().max() > 0


def test_the_first_guess_of_hrnet_ocr_is_hrnets_answer() -> None:
    torch.manual_seed(0)
    network = build("hrnet_ocr_w18", 3, 2, width="w18_small_v1").eval()
    plain = build("hrnet", 3, 2, width="w18_small_v1", align_corners=True).eval()
    plain.body.backbone.load_state_dict(network.body.backbone[0].state_dict())
    plain.body.head.load_state_dict(network.body.guess.state_dict())
    x = torch.randn(1, 3, 40, 64)
    with torch.inference_mode():
        (guess,) = forward_all(network, x)[1]
        assert torch.equal(guess.logits, plain(x))


def test_hdc_repeats_the_rates_of_the_paper() -> None:
    with torch.device("meta"):
        backbone = build("duc_hdc_r101", 3, 2).body.backbone
    assert [b.conv2.dilation[0] for b in backbone.layer3] == [1, 2, 5, 9] * 5 + [1, 2, 5]
    assert [b.conv2.dilation[0] for b in backbone.layer4] == [5, 9, 17]
    assert {b.conv2.stride for s in (backbone.layer3, backbone.layer4) for b in s} == {(1, 1)}


def test_duc_answers_the_pixels_of_a_cell_from_the_channels_of_a_class() -> None:
    """Section 3.1: (h, w, d^2 L) is reshaped to (d h, d w, L)."""
    network = build("duc_hdc_r101", 3, 4, backbone="test_resnet").eval()
    cells = torch.randn(1, network.body.head[0][0].in_channels, 3, 2)
    dense = network.body.head[0](cells)
    expected = dense.view(4, 8, 8, 3, 2).permute(0, 3, 1, 4, 2).reshape(1, 4, 24, 16)
    assert torch.equal(network.body.head(cells), expected)


def test_refinement_without_weights_hands_its_input_on() -> None:
    x = torch.randn(1, 4, 9, 9)
    unit, chain = RCU(4), CRP(4)
    for weight in [*unit.parameters(), *chain.parameters()]:
        nn.init.zeros_(weight)
    assert torch.equal(unit(x), x)
    assert torch.equal(chain(x), x.relu())


def test_chained_pools_reach_two_pixels_further_with_each_link() -> None:
    chain = CRP(1)
    for link in chain.links:
        nn.init.zeros_(link.weight)
        link.weight.data[..., 1, 1] = 1
    x = torch.zeros(1, 1, 21, 21)
    x[..., 10, 10] = 1
    expected = [sum(max(abs(r - 10), abs(c - 10)) <= 2 * k for k in range(5)) for r in range(21) for c in range(21)]
    assert chain(x).flatten().tolist() == expected


def test_encoding_sums_residuals_by_soft_assignment() -> None:
    """Equations 1 and 2 of the paper, with all differences spelt out."""
    encoding = Encoding(6, 5)
    x = torch.randn(2, 6, 3, 4)
    apart = x.flatten(2).transpose(1, 2)[:, :, None] - encoding.codewords
    shares = (encoding.smoothing * apart.square().sum(3)).softmax(2)
    torch.testing.assert_close(encoding(x), (shares[..., None] * apart).sum(1))


def test_joint_pyramid_upsampling_answers_at_the_third_last_stage() -> None:
    neck = JPU([3, 5, 7], 4).eval()
    stages = [torch.randn(1, c, s, s) for c, s in ((2, 24), (3, 12), (5, 6), (7, 3))]
    *kept, joined = neck(stages)
    assert joined.shape == (1, 16, 12, 12)
    assert all(a is b for a, b in zip(kept, stages, strict=False))


def test_the_border_network_of_dfn_changes_no_answer() -> None:
    network = build("dfn_r101", 3, 2, backbone="test_resnet", width=8).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(x)
        logits, beside = forward_all(network, x)
        for name, weight in network.named_parameters():
            if "border" in name:
                weight.zero_()
        assert torch.equal(network(x), before)
    assert torch.equal(logits, before)
    assert [a.target for a in beside] == ["codes"] * 3 + ["border"] * 4
    assert {a.logits.shape[1:] for a in beside} == {(2, 64, 64), (1, 64, 64)}
