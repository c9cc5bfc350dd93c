"""Settings: base of the parts of a recipe, frozen and serialised so that older digests stay valid."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from geoseg.core.types.json_value import UntypedDict


class Settings(BaseModel):
    """A part of a recipe.

    Attributes:
        later: keys added after the first version. They are serialised only if they differ from their defaults, so that
            a recipe without them keeps its digest and its card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _brief(self, write: SerializerFunctionWrapHandler) -> UntypedDict:
        values: UntypedDict = write(self)
        fields = type(self).model_fields
        unsaid = {name for name in self.later if getattr(self, name) == fields[name].get_default()}
        return {name: value for name, value in values.items() if name not in unsaid}
