"""Contract tests of runtimes, to inherit for a library or device of one's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from geoseg.runtimes.runtime import PROBABILITIES, Runtime

_BANDS = 3


class RuntimeTests:
    """Laws of a runtime of class maps: it answers the softmax of the network's logits, however tiles are handed over.

    Attributes:
        tolerance: largest difference of a probability from torch's in float32.
        side_px: side of the tiles.

    Examples:
        >>> class TestMine(RuntimeTests):
        ...     @pytest.fixture
        ...     def runtime(self, network: nn.Module) -> Runtime:
        ...         return MyRuntime(network)
    """

    tolerance: float = 1e-4
    side_px: int = 48

    @pytest.fixture
    def network(self) -> nn.Module:
        """The network that is run, of three bands; override it where another one is needed."""
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(_BANDS, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()

    @pytest.fixture
    def runtime(self, network: nn.Module) -> Runtime:
        """Override it: make the runtime of the network."""
        raise NotImplementedError("define the fixture runtime")

    def test_answers_are_the_softmax_of_the_network(self, runtime: Runtime, network: nn.Module) -> None:
        """Probabilities in float32 that sum to 1 over the classes."""
        tiles = self._tiles(3)
        with torch.inference_mode():
            expected = torch.softmax(network(torch.from_numpy(tiles)), dim=1).numpy()
        found = self._run(runtime, tiles)
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() <= 1 + 1e-6
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=max(1e-5, self.tolerance / 10))
        np.testing.assert_allclose(found, expected, atol=self.tolerance)

    def test_a_tile_is_answered_alone_as_in_a_batch(self, runtime: Runtime) -> None:
        """How many tiles are handed over changes nothing."""
        tiles = self._tiles(4)
        alone = np.concatenate([self._run(runtime, tile[None]) for tile in tiles])
        np.testing.assert_allclose(self._run(runtime, tiles), alone, atol=self.tolerance)

    def test_the_same_tiles_have_the_same_answer(self, runtime: Runtime) -> None:
        """To the bit: a run that is done again gives the same files."""
        tiles = self._tiles(2)
        np.testing.assert_array_equal(self._run(runtime, tiles), self._run(runtime, tiles))

    @pytest.mark.parametrize("missing", [(0, 8), (8, 0), (16, 24)])
    def test_smaller_tiles_of_small_scenes_are_answered(self, runtime: Runtime, missing: tuple[int, int]) -> None:
        """A scene that is smaller than a tile is a smaller tile."""
        tiles = self._tiles(1)[..., missing[0] :, missing[1] :]
        found = self._run(runtime, np.ascontiguousarray(tiles))
        assert found.shape[2:] == tiles.shape[2:]
        assert np.isfinite(found).all()

    def test_what_was_handed_over_stays_as_it_was(self, runtime: Runtime) -> None:
        """Tiles are not written to, and an answer is not overwritten by the next one."""
        tiles, others = self._tiles(2), self._tiles(2, seed=1)
        before = tiles.copy()
        first = self._run(runtime, tiles)
        kept = first.copy()
        self._run(runtime, others)
        np.testing.assert_array_equal(tiles, before)
        np.testing.assert_array_equal(first, kept)

    def test_threads_get_their_own_answers(self, runtime: Runtime) -> None:
        """Dask computes blocks in several threads."""
        batches = [self._tiles(1, seed=seed) for seed in range(6)]
        expected = [self._run(runtime, tiles) for tiles in batches]
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda tiles: self._run(runtime, tiles), batches))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_it_says_what_it_is(self, runtime: Runtime) -> None:
        """Name, device, precision and version, which become part of a run's identity; and how many tiles it takes."""
        info = runtime.info
        assert all((info.name, info.device, info.precision, info.version))
        assert runtime.batch >= 1

    def _tiles(self, count: int, seed: int = 0) -> npt.NDArray[np.float32]:
        shape = (count, _BANDS, self.side_px, self.side_px)
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)

    def _run(self, runtime: Runtime, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(runtime.run(tiles)[PROBABILITIES])
