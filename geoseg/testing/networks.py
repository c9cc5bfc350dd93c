"""Contract tests of networks, to inherit for one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from geoseg.nn import NETWORKS, build
from geoseg.nn.padding import mirror
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.nn.zoo.entry import NetworkEntry, Task, TinyForm
from geoseg.training.auxiliary_losses import auxiliary_loss
from geoseg.training.losses import LossMix

MakeNetwork = Callable[[int, int], nn.Module]
"""Makes a network with random weights of (bands, classes)."""

_BANDS, _CLASSES = 3, 4
_STEPS = 150


class TinyNetwork(NamedTuple):
    """A network of the registry in a small form."""

    entry: NetworkEntry
    form: TinyForm

    def make(self, bands: int, classes: int) -> nn.Module:
        """Build it with random weights; skip the test where the library that it comes from is not installed."""
        if self.entry.family.requires is not None:
            pytest.importorskip(self.entry.family.requires, reason=f"{self.entry.family.requires} is an extra")
        return build(self.entry.name, bands, classes, **self.form.options)


def tiny_networks(task: Task = "semantic") -> dict[str, TinyNetwork]:
    """List the small forms of the networks of a task, as their entries state them.

    Returns:
        Name and variant to the small network; the names serve as ids of parametrised tests.
    """
    return {
        f"{entry.name} {form.variant}".rstrip(): TinyNetwork(entry, form)
        for entry in NETWORKS.values()
        if entry.task == task
        for form in entry.tiny
    }


class NetworkTests:
    """Laws of a network that maps tiles (B, bands, H, W) of any size to logits (B, classes, H, W).

    Two fixtures may be overridden besides ``make_network``: ``pools_by_maxima`` and ``idle_weights``.

    Examples:
        >>> class TestMine(NetworkTests):
        ...     @pytest.fixture(scope="class")
        ...     @classmethod
        ...     def make_network(cls) -> MakeNetwork:
        ...         return lambda bands, classes: nn.Conv2d(bands, classes, 3, padding=1)
    """

    @pytest.fixture(scope="class")
    @classmethod
    def make_network(cls) -> MakeNetwork:
        """Override it: make a network of (bands, classes) with random weights."""
        raise NotImplementedError("define the fixture make_network")

    @pytest.fixture(scope="class")
    @classmethod
    def pools_by_maxima(cls) -> bool:
        """Override it: rounding may reorder equal maxima, so that single logits may change much in bfloat16."""
        return False

    @pytest.fixture(scope="class")
    @classmethod
    def idle_weights(cls) -> tuple[str, ...]:
        """Override it: parts of the names of weights that take no part in the answer."""
        return ()

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls, make_network: MakeNetwork) -> nn.Module:
        """One of three bands and four classes, in evaluation mode."""
        torch.manual_seed(0)
        network = make_network(_BANDS, _CLASSES).eval()
        for weight in network.parameters():
            if not weight.any():  # what starts at zero would prove nothing
                nn.init.normal_(weight, std=0.05)
        return network

    @pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (33, 64), (95, 33)])
    def test_logits_have_the_size_of_the_tile(self, network: nn.Module, size: tuple[int, int]) -> None:
        """It answers for each pixel of a tile of any size."""
        with torch.inference_mode():
            logits = network(torch.randn(2, _BANDS, *size))
        assert logits.shape == (2, _CLASSES, *size)
        assert torch.isfinite(logits).all()

    @pytest.mark.parametrize(("bands", "classes"), [(1, 6), (4, 1), (10, 3)])
    def test_any_number_of_bands_and_classes(self, make_network: MakeNetwork, bands: int, classes: int) -> None:
        """Bands and classes are free."""
        with torch.inference_mode():
            assert make_network(bands, classes).eval()(torch.randn(1, bands, 32, 48)).shape == (1, classes, 32, 48)

    def test_a_tile_is_answered_alone_as_in_a_batch(self, network: nn.Module) -> None:
        """Tiles of a batch do not influence each other."""
        x = torch.randn(3, _BANDS, 64, 64)
        with torch.inference_mode():
            together = network(x)
            alone = torch.cat([network(tile[None]) for tile in x])
        torch.testing.assert_close(together, alone, atol=1e-4 * float(alone.abs().max()), rtol=1e-3)

    def test_the_seed_decides_the_weights(self, make_network: MakeNetwork) -> None:
        """The same seed gives the same weights, another one others."""

        def weights(seed: int) -> list[Tensor]:
            torch.manual_seed(seed)
            return list(make_network(2, 2).state_dict().values())

        first, again, other = weights(1), weights(1), weights(2)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))

    def test_ragged_tiles_are_mirrored_to_a_multiple_of_the_stride(self, network: nn.Module) -> None:
        """A tile of another size is answered as its mirrored extension is."""
        stride: object = getattr(network, "stride", 1)
        margin_px: object = getattr(network, "margin_px", 0)
        assert isinstance(stride, int)
        if stride == 1 or margin_px:
            pytest.skip("its body takes any size, or mirrors on all four sides")
        x = torch.randn(1, _BANDS, 2 * stride, 3 * stride)
        with torch.inference_mode():
            ragged = network(x[..., :-1, :-3])
            whole = network(mirror(x[..., :-1, :-3], (0, 1), (0, 3)))[..., :-1, :-3]
        torch.testing.assert_close(ragged, whole)

    def test_bfloat16_and_channels_last_change_little(self, network: nn.Module, *, pools_by_maxima: bool) -> None:
        """The arithmetic that runs choose gives nearly the same logits."""
        x = torch.randn(1, _BANDS, 64, 64)
        with torch.inference_mode():
            plain = network(x)
            with torch.autocast("cpu", torch.bfloat16):
                half = network(x.contiguous(memory_format=torch.channels_last))
        difference = (half.float() - plain).abs()
        assert difference.mean() < 0.02 * plain.abs().max() + 0.005
        if not pools_by_maxima:
            assert difference.max() < 0.1 * plain.abs().max() + 0.02

    def test_one_batch_can_be_learnt_by_heart(self, make_network: MakeNetwork, idle_weights: tuple[str, ...]) -> None:
        """Gradients reach every weight, and descending along them lowers the loss."""
        torch.manual_seed(0)
        network = make_network(_BANDS, 2).train()
        target = torch.zeros(2, 48, 48, dtype=torch.long)
        target[0, 24:], target[1, :, 24:] = 1, 1
        x = torch.randn(2, _BANDS, 48, 48) + target[:, None]
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
        losses: list[float] = []
        while len(losses) < _STEPS and (not losses or losses[-1] > 0.9 * losses[0]):
            logits, auxiliary = forward_all(network, x)
            loss = nn.functional.cross_entropy(logits, target)
            loss = loss + auxiliary_loss(auxiliary, target, LossMix(dice=0), ignore=255)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] <= 0.9 * losses[0]
        for name, weight in network.named_parameters():
            if any(part in name for part in idle_weights):
                continue
            assert weight.grad is not None, name
            assert torch.isfinite(weight.grad).all(), name

    def test_exported_by_torch_it_answers_the_same(self, network: nn.Module) -> None:
        """``torch.export`` can follow it."""
        x = torch.randn(1, _BANDS, 64, 96)
        with torch.inference_mode():
            exported: Any = torch.export.export(network, (x,)).module()
            torch.testing.assert_close(exported(x), network(x))
