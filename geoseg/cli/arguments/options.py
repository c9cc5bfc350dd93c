"""Validation of command-line options, with errors a user can act on."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from geoseg.errors import UsageError

Value = TypeVar("Value", bound=BaseModel)


def checked(kind: type[Value], /, **fields: object) -> Value:
    """Build a validated model from options.

    Raises:
        UsageError: options are invalid; the message names all of them as the user typed them.
    """
    try:
        return kind(**fields)
    except UnicodeEncodeError as error:  # pydantic takes text only
        raise UsageError(f"{error.object}: an option holds bytes that are not UTF-8.") from error
    except ValidationError as error:
        faults = [
            f"--{str(fault['loc'][0]).replace('_', '-')}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
            for fault in error.errors()
        ]
        raise UsageError("; ".join(dict.fromkeys(faults)) + ". See geoseg --help.") from error


def numbers(option: str, text: str | None) -> tuple[float, ...]:
    """Parse numbers separated by commas; an empty tuple for None.

    Raises:
        UsageError: a part is not a number.
    """
    try:
        return () if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text}: numbers between commas are expected.") from error
