"""Settings: the parts of a recipe. Checked whole, frozen, and written out so that older digests and cards hold."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Settings(BaseModel):
    """A part of a recipe.

    Attributes:
        later: keys that came after the first recipes. They are written out only where they differ from their defaults,
            so that a recipe that does not name them keeps the digest and the card it had before they were there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _brief(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        fields = type(self).model_fields
        unsaid = {name for name in self.later if getattr(self, name) == fields[name].get_default()}
        return {name: value for name, value in values.items() if name not in unsaid}
