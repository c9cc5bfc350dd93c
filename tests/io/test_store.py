"""The store: a block is there and whole, or not done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geoseg.core.tiling import Block, Blocks, Tiling
from geoseg.errors import WriteError
from geoseg.io.store import Store

BLOCKS = Blocks(Tiling((300, 260), (300, 260), tile_px=96, halo_px=16), 130)


def answer(block: Block, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([seed, block.row, block.col])
    return tuple(random.integers(0, 101, size=block.window.shape).astype(np.uint8) for _ in range(2))  # type: ignore[return-value]


def chunk_of(path: Path, block: Block) -> Path:
    return path / "c" / str(block.row) / str(block.col) / "0" / "0" / "0"


def test_what_is_written_is_read_back_also_by_another_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "blocks", BLOCKS, "key")
    for block in BLOCKS:
        assert store.read(block) is None
        store.write(block, *answer(block))
    again = Store(tmp_path / "blocks", BLOCKS, "key")
    assert again.left() == []
    for block in BLOCKS:
        for stored, wanted in zip(again.read(block) or (), answer(block), strict=True):
            np.testing.assert_array_equal(stored, wanted)


@pytest.mark.parametrize("opened", ["made", "again", "by a worker"])
def test_a_block_of_nothing_but_nodata_is_done_once_written(tmp_path: Path, opened: str) -> None:
    store = Store(tmp_path / "blocks", BLOCKS, "key")
    if opened != "made":
        store = (Store if opened == "again" else Store.of_run)(tmp_path / "blocks", BLOCKS, "key")
    empty = np.full(BLOCKS[0].window.shape, 255, np.uint8)
    store.write(BLOCKS[0], empty, empty)
    assert BLOCKS[0] not in Store(tmp_path / "blocks", BLOCKS, "key").left()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_block_counts_as_not_done_and_the_others_stay(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path / "blocks", BLOCKS, "key")
    for block in BLOCKS:
        store.write(block, *answer(block))
    victim = chunk_of(tmp_path / "blocks", BLOCKS[1])
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes({"flip": content, "cut": content[: len(content) // 2], "empty": b""}[damage])
    assert Store(tmp_path / "blocks", BLOCKS, "key").left() == [BLOCKS[1]]


def test_every_bit_of_a_chunk_is_guarded(tmp_path: Path) -> None:
    store = Store(tmp_path / "blocks", BLOCKS, "key")
    store.write(BLOCKS[0], *answer(BLOCKS[0]))
    victim = chunk_of(tmp_path / "blocks", BLOCKS[0])
    content = victim.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(content), size=60):
        spoiled = bytearray(content)
        spoiled[position] ^= 0x10
        victim.write_bytes(spoiled)
        assert store.read(BLOCKS[0]) is None, position


@pytest.mark.parametrize("change", ["key", "blocks", "metadata"])
def test_a_store_of_another_run_is_never_reused(tmp_path: Path, change: str) -> None:
    store = Store(tmp_path / "blocks", BLOCKS, "key")
    store.write(BLOCKS[0], *answer(BLOCKS[0]))
    if change == "metadata":
        (tmp_path / "blocks" / "zarr.json").write_text('{"zarr_format": 3')
    blocks = Blocks(BLOCKS.tiling, 70) if change == "blocks" else BLOCKS
    other = Store(tmp_path / "blocks", blocks, "other" if change == "key" else "key")
    assert other.left() == list(blocks)


def test_a_store_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WriteError, match="file"):
        Store(tmp_path / "file" / "blocks", BLOCKS, "key")
