"""BlockCache: least-recently-used cache of decoded blocks of scenes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from geoseg.data.labelled_scene import Sample


class BlockCache:
    """Cache of samples up to a number of bytes. Thread-safe; pickles as an empty cache of the same size.

    Args:
        most_bytes: size limit of all samples; a larger sample is returned and not cached.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0
        self._kept: OrderedDict[Hashable, Sample] = OrderedDict()
        self._lock = threading.Lock()

    def sample(self, key: Hashable, decode: Callable[[], Sample]) -> Sample:
        """Return the sample of a key; decode and cache it if missing. The arrays are read-only.

        Args:
            key: identifies scene and block.
            decode: makes the sample.
        """
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                return known
        made = decode()  # outside the lock: two threads may decode one block, none waits for another's
        with self._lock:
            if key not in self._kept and size_bytes(made) <= self.most_bytes:
                self._kept[key] = made
                self.held_bytes += size_bytes(made)
                while self.held_bytes > self.most_bytes:
                    self.held_bytes -= size_bytes(self._kept.popitem(last=False)[1])
        return made

    def __reduce__(self) -> tuple[type[BlockCache], tuple[int]]:
        return type(self), (self.most_bytes,)


def size_bytes(sample: Sample) -> int:
    """Bytes of a sample's arrays."""
    objects = 0 if sample.objects is None else sample.objects.nbytes
    return sample.values.nbytes + sample.valid.nbytes + sample.class_indices.nbytes + objects
