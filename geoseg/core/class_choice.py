"""Classes that an option names: ``CLASS,...``, by name or code, or those that can be counted."""

from __future__ import annotations

from geoseg.core.legend import Legend
from geoseg.errors import UsageError

COUNTABLE = "countable"
"""Value in place of classes: those that the legend marks as countable."""


def chosen_codes(option: str, asked: str, legend: Legend) -> tuple[int, ...]:
    """Return the codes of the named classes.

    Args:
        option: name of the option, for the message.
        asked: names or codes, separated by commas.
        legend: the map's classes.

    Raises:
        UsageError: there is no such class.
    """
    known = {str(code): code for code in legend.codes} | dict(zip(legend.names, legend.codes, strict=True))
    if asked in known:  # a name may hold a comma
        return (known[asked],)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    missing = [name for name in names if name not in known]
    if missing or not names:
        listed = ", ".join(f"{entry.name} ({entry.code})" for entry in legend.classes)
        raise UsageError(f"{option} {asked}: no class {', '.join(missing) or 'is named'}. There are {listed}.")
    return tuple(dict.fromkeys(known[name] for name in names))


def object_codes(asked: str, legend: Legend) -> tuple[int, ...]:
    """Return the codes of the classes that are counted.

    Args:
        asked: as of ``--objects``: names or codes, with commas between them, or ``countable``.
        legend: the map's classes.

    Raises:
        UsageError: there is no such class, or none that can be counted.
    """
    if asked != COUNTABLE or COUNTABLE in legend.names:
        return chosen_codes("--objects", asked, legend)
    if not legend.countable:
        names = ", ".join(legend.names)
        raise UsageError(f"--objects {COUNTABLE}: the legend marks no class as countable. Name some of {names}.")
    return legend.countable
