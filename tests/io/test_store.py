"""The store: a block is there and whole, or not done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import OutputSchema, RasterLayer, class_layer, confidence_layer
from geoseg.core.objects import ObjectTable
from geoseg.core.tiling import Block, Blocks, Tiling
from geoseg.core.window import Window
from geoseg.errors import WriteError
from geoseg.io.store import Store

BLOCKS = Blocks(Tiling((300, 260), (300, 260), tile_px=96, halo_px=16), 130)
HEIGHT = RasterLayer(name="height", role="height", dtype="float32", nodata=-1, label="Height", title="Height")
SCHEMA = OutputSchema((class_layer(nodata=255), confidence_layer(), HEIGHT))


def answer(block: Block, seed: int = 0) -> BlockResult:
    random = np.random.default_rng([seed, block.row, block.col])
    shape = block.window.shape
    planes = {name: random.integers(0, 101, size=shape).astype(np.uint8) for name in ("classes", "confidence")}
    planes["height"] = random.normal(size=shape).astype(np.float32)
    masks = [
        (1, 0.5, Window(3 * i, 3 * i + 2, 0, 5), random.random((2, 5)) < 0.9, i == 1) for i in range(block.col + 1)
    ]
    return BlockResult(block=block, planes=planes, objects=ObjectTable.from_masks(masks) if block.row else None)


def store_in(folder: Path, key: str = "key", schema: OutputSchema = SCHEMA, blocks: Blocks = BLOCKS) -> Store:
    return Store(folder / "blocks", blocks, key, schema)


def file_of(folder: Path, block: Block) -> Path:
    return folder / "blocks" / f"{block.row}-{block.col}.block"


def test_what_is_written_is_read_back_also_by_another_store(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for block in BLOCKS:
        assert store.read(block) is None
        store.write(answer(block))
    again = store_in(tmp_path)
    assert again.left() == []
    for block in BLOCKS:
        stored, expected = again.read(block), answer(block)
        assert stored is not None
        assert list(stored.planes) == list(expected.planes)
        for name, plane in expected.planes.items():
            np.testing.assert_array_equal(stored.planes[name], plane)
            assert stored.planes[name].dtype == plane.dtype
        assert (stored.objects is None) == (expected.objects is None)
        for name, column in (expected.objects or ObjectTable.empty()).columns().items():
            np.testing.assert_array_equal((stored.objects or ObjectTable.empty()).columns()[name], column)


@pytest.mark.parametrize("objects", [None, ObjectTable.empty()])
@pytest.mark.parametrize("opened", ["made", "again", "by a worker"])
def test_a_block_without_any_answer_is_done_once_written(tmp_path: Path, opened: str, objects: ObjectTable) -> None:
    store = store_in(tmp_path)
    if opened != "made":
        store = (Store if opened == "again" else Store.of_run)(tmp_path / "blocks", BLOCKS, "key", SCHEMA)
    store.write(replace(BlockResult.empty(BLOCKS[0], SCHEMA), objects=objects))
    assert BLOCKS[0] not in store_in(tmp_path).left()
    found = store.read(BLOCKS[0])
    assert found is not None
    assert found.is_empty(SCHEMA)
    assert (found.objects is None) == (objects is None)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "longer"])
def test_a_damaged_block_counts_as_not_done_and_the_others_stay(tmp_path: Path, damage: str) -> None:
    store = store_in(tmp_path)
    for block in BLOCKS:
        store.write(answer(block))
    victim = file_of(tmp_path, BLOCKS[1])
    content = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        found = {"flip": flipped, "cut": content[:middle], "empty": b"", "longer": content + b"\0"}
        victim.write_bytes(found[damage])
    assert store_in(tmp_path).left() == [BLOCKS[1]]


def test_every_bit_of_a_block_is_guarded(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(answer(BLOCKS[0]))
    victim = file_of(tmp_path, BLOCKS[0])
    content = victim.read_bytes()
    positions = [*range(24), *np.random.default_rng(0).integers(24, len(content), size=60)]
    for position in positions:
        spoiled = bytearray(content)
        spoiled[position] ^= 0x10
        victim.write_bytes(spoiled)
        assert store.read(BLOCKS[0]) is None, position


@pytest.mark.parametrize("change", ["key", "blocks", "planes", "metadata", "an older version's"])
def test_a_store_of_another_run_is_never_reused(tmp_path: Path, change: str) -> None:
    store = store_in(tmp_path)
    store.write(answer(BLOCKS[0]))
    about = tmp_path / "blocks" / "store.json"
    if change == "metadata":
        about.write_text('{"format": 3')
    if change == "an older version's":
        about.unlink()
        (tmp_path / "blocks" / "zarr.json").write_text('{"zarr_format": 3}')
    blocks = Blocks(BLOCKS.tiling, 70) if change == "blocks" else BLOCKS
    schema = OutputSchema(SCHEMA.layers[:2]) if change == "planes" else SCHEMA
    other = store_in(tmp_path, "other" if change == "key" else "key", schema, blocks)
    assert other.left() == list(blocks)
    assert not (tmp_path / "blocks" / "zarr.json").exists()


@pytest.mark.parametrize("wrong", ["missing", "too many", "type", "shape"])
def test_planes_that_are_not_those_of_the_schema_are_refused(tmp_path: Path, wrong: str) -> None:
    result = answer(BLOCKS[0])
    planes = dict(result.planes)
    if wrong == "missing":
        del planes["height"]
    else:
        height = planes["height"]
        changed = {"too many": height, "type": height.astype(np.float64), "shape": height[1:]}
        planes["more" if wrong == "too many" else "height"] = changed[wrong]
    with pytest.raises(ValueError, match="schema"):
        store_in(tmp_path).write(replace(result, planes=planes))


def test_a_worker_that_does_not_see_the_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="not there"):
        Store.of_run(tmp_path / "blocks", BLOCKS, "key", SCHEMA)


def test_a_store_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WriteError, match="file"):
        store_in(tmp_path / "file")
