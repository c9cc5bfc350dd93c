"""Blocks on a real object store: there and whole, or not done; runs of other digests never meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from object_server import BUCKET

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import OutputSchema, class_layer
from geoseg.core.tiling import Block, Blocks, Tiling
from geoseg.errors import WriteError
from geoseg.io.store import Store

PLACE = f"s3://{BUCKET}/blocks/scene"
SCHEMA = OutputSchema((class_layer(nodata=255),))
BLOCKS = Blocks(Tiling((90, 130), (90, 130), tile_px=32, halo_px=4), 64)


def answer(block: Block, code: int = 3) -> BlockResult:
    random = np.random.default_rng(block.row * 100 + block.col)
    return BlockResult(block=block, planes={"classes": random.integers(0, code, block.window.shape).astype(np.uint8)})


def test_what_one_process_writes_another_reads(object_server: Any) -> None:
    store = Store(PLACE, BLOCKS, "key" * 10, SCHEMA)
    assert store.left() == list(BLOCKS)
    first, *others = BLOCKS
    Store.of_run(store.address, BLOCKS, "key" * 10, SCHEMA).write(answer(first))
    assert store.left() == others
    found = Store(PLACE, BLOCKS, "key" * 10, SCHEMA).read(first)
    assert found is not None
    np.testing.assert_array_equal(found.planes["classes"], answer(first).planes["classes"])
    store.remove()
    assert object_server.keys("blocks") == {}


def test_blocks_of_another_digest_are_not_seen_and_not_removed(object_server: Any) -> None:
    store, other = (Store(PLACE, BLOCKS, key, SCHEMA) for key in ("one-digest-of-pixels", "another-digest-of-pixels"))
    store.write(answer(BLOCKS[0]))
    assert BLOCKS[0] in other.left()
    other.remove()
    assert store.read(BLOCKS[0]) is not None


def test_a_damaged_object_is_not_done(object_server: Any) -> None:
    store = Store(PLACE, BLOCKS, "key", SCHEMA)
    store.write(answer(BLOCKS[0]))
    (key,) = (key for key in object_server.keys("blocks") if key.endswith(".block"))
    content = object_server.get(key)
    for damaged in (content[:-1], content[:40] + bytes([content[40] ^ 1]) + content[41:], b""):
        object_server.put(key, damaged)
        assert store.read(BLOCKS[0]) is None


def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_one(
    object_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WriteError, match="AWS_ENDPOINT_URL"):
        Store.of_run(PLACE, BLOCKS, "key", SCHEMA)
    Store(PLACE, BLOCKS, "key", SCHEMA).write(answer(BLOCKS[0]))
    object_server.use(monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    with pytest.raises(OSError, match="127.0.0.1:1"):
        Store(PLACE, BLOCKS, "key", SCHEMA)
