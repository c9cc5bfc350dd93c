"""A cache of tiles that cannot be written keeps nothing wrong: what it gives is what was sent, or nothing."""

from __future__ import annotations

import resource

import pytest

from geoseg.io.services import tile_fetch
from geoseg.io.services.tile_fetch import Fetched, TileCache

TILE_BYTES = 100_000


def content(number: int) -> bytes:
    return bytes([number]) * TILE_BYTES


@pytest.mark.parametrize("memory_bytes", [1, 4 * TILE_BYTES, 40 * TILE_BYTES])
def test_a_full_disk_loses_tiles_and_gives_no_wrong_one(memory_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest file that may be written stands for the disk: 5.5 tiles, also less than what memory hands over."""
    monkeypatch.setattr(tile_fetch, "_CACHE_MEMORY_BYTES", memory_bytes)
    cache, before = TileCache(), resource.getrlimit(resource.RLIMIT_FSIZE)
    found = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (TILE_BYTES * 11 // 2, before[1]))
    try:
        for number in range(60):
            cache.keep((0, number), Fetched(content=content(number)))
            found += [(each, cache.find((0, each))) for each in range(number + 1)]
        cache.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    kept = [(number, answer) for number, answer in found if answer is not None]
    assert kept, "the first tiles fit"
    assert len(kept) < len(found), "not all fit"
    assert all(answer.content == content(number) for number, answer in kept)
