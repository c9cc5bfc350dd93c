"""BlockResult: the result of one block, as named planes and, where a run makes objects, a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geoseg.core.layer import OutputSchema
from geoseg.core.objects import ObjectTable
from geoseg.core.tiling import Block
from geoseg.core.types.arrays import AnyArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockResult:
    """The result of one block.

    Attributes:
        block: the block.
        planes: (y, x) arrays over ``block.window`` of the scene's grid by the names of the schema's planes.
        objects: objects of the block; None where a run makes none.
    """

    block: Block
    planes: Mapping[str, AnyArray]
    objects: ObjectTable | None = None

    @classmethod
    def empty(cls, block: Block, schema: OutputSchema) -> BlockResult:
        """Make the result of a block without valid pixels: every plane of the schema filled with its nodata."""
        return cls(block=block, planes={layer.name: layer.empty(block.window.shape) for layer in schema.planes})

    def is_empty(self, schema: OutputSchema) -> bool:
        """True if no pixel has a value."""
        first = schema.planes[0]
        return bool((self.planes[first.name] == first.nodata).all()) and not self.objects

    def cut(self, block: Block) -> BlockResult:
        """Crop the planes to the window of a block; objects are unchanged."""
        if self.block == block:
            return self
        here = block.window.within(self.block.window)
        planes = {name: plane[here] for name, plane in self.planes.items()}
        return BlockResult(block=block, planes=planes, objects=self.objects)
