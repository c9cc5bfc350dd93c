"""Options of models that detect objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.core.spec import InstanceChoice


def instance_choice(**given: object) -> InstanceChoice | None:
    """Make the options for objects from those that were given; None without any.

    Args:
        **given: fields of ``InstanceChoice``; those that are None were not given.

    Raises:
        UsageError: a value makes no sense, or the library for right angles is not installed.
    """
    from geoseg.cli.arguments.options import checked
    from geoseg.core.spec import InstanceChoice

    said = {name: value for name, value in given.items() if value is not None}
    if not said:
        return None
    if "regularise" in said:
        from geoseg.vector.squaring import check_library

        check_library()
    return checked(InstanceChoice, **said)
