"""Classes that an option names: ``CLASS,...``, by name or code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.core.legend import Legend


def chosen_codes(option: str, asked: str, legend: Legend) -> tuple[int, ...]:
    """Return the codes of the named classes.

    Args:
        option: name of the option, for the message.
        asked: names or codes, separated by commas.
        legend: the map's classes.

    Raises:
        UsageError: there is no such class.
    """
    from geoseg.errors import UsageError

    known = {str(code): code for code in legend.codes} | dict(zip(legend.names, legend.codes, strict=True))
    if asked in known:  # a name may hold a comma
        return (known[asked],)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    missing = [name for name in names if name not in known]
    if missing or not names:
        listed = ", ".join(f"{entry.name} ({entry.code})" for entry in legend.classes)
        raise UsageError(f"{option} {asked}: no class {', '.join(missing) or 'is named'}. There are {listed}.")
    return tuple(dict.fromkeys(known[name] for name in names))
