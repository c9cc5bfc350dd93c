"""LabelModel: a plain picture of the objects of a map in memory, on which edits are made by the documented rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

NODATA = 255


@dataclass
class LabelModel:
    """Object and class of each pixel.

    Attributes:
        things: codes of the classes of objects.
        background: class of pixels that an object leaves; None: the stuff around it.
        number: (y, x) number of the object of each pixel, 0 for none.
        code: (y, x) class codes.
        valid: (y, x) pixels that can be painted.
        fresh: the next free number.
        first_by_hand: numbers from this one on are of objects by hand.
    """

    things: tuple[int, ...]
    background: int | None
    number: np.ndarray
    code: np.ndarray
    valid: np.ndarray
    fresh: int
    first_by_hand: int

    @classmethod
    def of(cls, number: np.ndarray, code: np.ndarray, things: tuple[int, ...], background: int | None) -> LabelModel:
        first = int(number.max()) + 1
        return cls(things, background, number.copy(), code.copy(), code != NODATA, first, first)

    def copy(self) -> LabelModel:
        return LabelModel(
            self.things,
            self.background,
            self.number.copy(),
            self.code.copy(),
            self.valid,
            self.fresh,
            self.first_by_hand,
        )

    def objects(self) -> list[int]:
        return [int(number) for number in np.unique(self.number) if number]

    def draw(self, mask: np.ndarray, code: int) -> None:
        """Make pixels an object, or pixels of none where the class has no objects."""
        self.code[mask] = code
        self.number[mask] = self.fresh if code in self.things else 0
        self.fresh += code in self.things

    def fill(self, mask: np.ndarray, asked: int | None) -> int | None:
        """Class of the pixels that an object leaves; None where there is none around it."""
        if asked is not None:
            return asked
        if self.background is not None:
            return self.background
        ring = self.code[ndimage.binary_dilation(mask) & ~mask]
        ring = ring[~np.isin(ring, [*self.things, NODATA])]
        return None if not len(ring) else int(np.bincount(ring).argmax())

    def repaint(self, inside: np.ndarray, code: int) -> bool:
        """Repaint; False where nothing would change."""
        inside = inside & self.valid
        if code not in self.things:
            self.draw(inside, code)
            return True
        own = (self.number > 0) & (self.code == code)
        regions, count = ndimage.label(inside & ~own)
        before, joined = self.number.copy(), {}
        for region in range(1, count + 1):
            touched: dict[int, int] = {}
            for row, col in np.argwhere(regions == region).tolist():
                for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                    if 0 <= r < own.shape[0] and 0 <= c < own.shape[1] and own[r, c]:
                        touched[int(before[r, c])] = touched.get(int(before[r, c]), 0) + 1
            best = min(touched, key=lambda n: (-touched[n], n)) if touched else -region
            joined.setdefault(best, []).append(region)
        for number, some in joined.items():
            self.draw(np.isin(regions, some) | (before == number), code)
        return count > 0

    def reshape(self, number: int, inside: np.ndarray, asked: int | None) -> bool:
        """Give an object another outline; False where it has no pixel there, or no class for those that it leaves."""
        mask, inside = self.number == number, inside & self.valid
        code, left = int(self.code[mask][0]), mask & ~inside
        fill = self.fill(mask, asked) if left.any() else 0
        if not inside.any() or fill is None:
            return False
        self.draw(left, fill)
        self.draw(inside, code)
        return True

    def delete(self, number: int, asked: int | None) -> bool:
        """Delete an object; False where there is no class for its pixels."""
        mask = self.number == number
        fill = self.fill(mask, asked)
        if fill is None:
            return False
        self.draw(mask, fill)
        return True

    def touch(self, one: int, other: int) -> bool:
        return bool((ndimage.binary_dilation(self.number == one) & (self.number == other)).any())

    def merge(self, numbers: tuple[int, ...]) -> None:
        self.draw(np.isin(self.number, numbers), int(self.code[self.number == numbers[0]][0]))

    def last(self, number: int) -> int:
        """Number of the last pixel of an object."""
        return int(np.flatnonzero(self.number.ravel() == number)[-1])

    def ids(self) -> np.ndarray:
        """Number of the last pixel of the object of each pixel, -1 for none."""
        out = np.full(self.number.shape, -1, np.int64)
        for number in self.objects():
            out[self.number == number] = self.last(number)
        return out

    def segments(self) -> np.ndarray:
        """Panoptic labels; -1 without a class."""
        labels = np.where(self.code == NODATA, -1, self.code.astype(np.int64))
        for place, number in enumerate(sorted(self.objects(), key=self.last), start=1):
            labels[self.number == number] += 256 * place
        return labels
