"""Legend: the classes of a map, their codes, names and colours."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from geoseg.core.types.json_value import UntypedDict

_BACKGROUND = re.compile(
    r"(the )?(background|others?|rest|everything else|nothing|none|unlabell?ed|unclassified|negative)"
    r"|(no|not|non)[ -]\S.*",
    re.IGNORECASE,
)
_GROUND = re.compile(r"land|ground", re.IGNORECASE)
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class LegendClass(BaseModel):
    """One class of a map.

    Attributes:
        code: in the raster.
        name: display name.
        colour: ``#rrggbb``.
        countable: whether its regions are things that can be counted, as buildings are, and not ground, as forest is.
            Cards and legends without this field mean False, and are written without it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[int, Field(ge=0, le=254)]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    colour: Colour
    countable: bool = False

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three integers 0-255."""
        return tuple(int(self.colour[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]

    @model_serializer(mode="wrap")
    def _without_no(self, write: SerializerFunctionWrapHandler) -> UntypedDict:
        values: UntypedDict = write(self)
        return values if self.countable else {name: value for name, value in values.items() if name != "countable"}

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        if re.search(r"[\x00-\x1f\x7f]", name):
            raise ValueError("a class name holds a control character")
        return name


class Legend(BaseModel):
    """Ordered classes and the nodata code. The network's channel ``i`` is ``classes[i]``.

    Attributes:
        background: code of the class that means the absence of all others; maps leave it transparent. None: there is
            no such class, as in land cover. If not given it follows from the names: a class named ``background``,
            ``other``, ``no ...`` or the like; ``land`` or ``ground`` if there are two classes.

    Examples:
        >>> Legend(classes=[LegendClass(code=0, name="other", colour="#000000")]).background
        0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[LegendClass, ...] = Field(min_length=1, max_length=255)
    nodata: Annotated[int, Field(ge=0, le=255)] = 255
    background: int | None = None

    @model_validator(mode="after")
    def _unique(self) -> Legend:
        codes = [c.code for c in self.classes]
        if len(set(codes)) != len(codes):
            raise ValueError(f"class codes repeat: {codes}")
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names):
            raise ValueError(f"class names repeat: {names}")
        if self.nodata in codes:
            raise ValueError(f"the nodata code {self.nodata} is also a class")
        if "background" not in self.model_fields_set:
            object.__setattr__(self, "background", _background_of(self.classes))  # the value is frozen from here on
        elif self.background is not None and self.background not in codes:
            raise ValueError(f"the background {self.background} is no class")
        return self

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def codes(self) -> tuple[int, ...]:
        """Codes in channel order."""
        return tuple(c.code for c in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in channel order."""
        return tuple(c.name for c in self.classes)

    @property
    def countable(self) -> tuple[int, ...]:
        """Codes of the classes whose regions are things."""
        return tuple(c.code for c in self.classes if c.countable)

    @property
    def things(self) -> tuple[int, ...]:
        """Codes of all classes but the background, in channel order: label ``k`` of a detector is ``things[k - 1]``."""
        return tuple(code for code in self.codes if code != self.background)

    def counting(self, codes: Collection[int]) -> Legend:
        """Return the legend with other countable classes.

        Args:
            codes: of the countable classes.
        """
        classes = tuple(entry.model_copy(update={"countable": entry.code in codes}) for entry in self.classes)
        return self.model_copy(update={"classes": classes})

    def by_code(self, code: int) -> LegendClass:
        """Look a class up by its code.

        Raises:
            KeyError: no class has this code.
        """
        for entry in self.classes:
            if entry.code == code:
                return entry
        raise KeyError(code)


class ValueClass(LegendClass):
    """A class of a map, with its values in a raster; without values its code is the value."""

    values: tuple[int, ...] = ()


class ValueLegend(Legend):
    """A legend for rasters whose values are no codes, such as those of CORINE (111 to 523).

    Attributes:
        nodata: value that means no class.

    Examples:
        >>> forest = ValueClass(code=2, name="forest", colour="#00aa00", values=(311, 312, 313))
        >>> ValueLegend(classes=(forest,)).table
        {2: 2, 311: 2, 312: 2, 313: 2}
    """

    classes: tuple[ValueClass, ...] = Field(min_length=1, max_length=255)
    nodata: int = 255

    @model_validator(mode="after")
    def _one_meaning(self) -> ValueLegend:
        values = [value for entry in self.classes for value in entry.values]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"values belong to two classes: {twice}")
        if self.nodata in values:
            raise ValueError(f"the nodata value {self.nodata} is also a value of a class")
        for entry in self.classes:
            others = sorted(set(self.codes) & set(entry.values) - {entry.code})
            if others:
                raise ValueError(
                    f"values {others} of class {entry.name!r} are codes of other classes; choose other codes"
                )
        return self

    @property
    def table(self) -> dict[int, int] | None:
        """Map from raster value, or code, to code; None if no class lists values."""
        if not any(entry.values for entry in self.classes):
            return None
        return {entry.code: entry.code for entry in self.classes} | {
            value: entry.code for entry in self.classes for value in entry.values
        }

    @property
    def labels(self) -> frozenset[int]:
        """All raster values and codes that mean a class."""
        return frozenset(self.codes if self.table is None else self.table)


def _background_of(classes: Sequence[LegendClass]) -> int | None:
    """Find the background by the names of classes: the lowest code where several names mean it."""
    named = [entry.code for entry in classes if _BACKGROUND.fullmatch(entry.name.strip())]
    if not named and len(classes) == 2:
        named = [entry.code for entry in classes if _GROUND.fullmatch(entry.name.strip())]
    return min(named, default=None)
