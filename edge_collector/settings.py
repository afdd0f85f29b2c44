"""What all settings files (`site.toml`, column maps) share: types of their fields, and how a mistake is told.

What does not belong here: what one kind of file holds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_NAME = re.compile(r"[A-Za-z0-9_.]+")


class SettingsError(ValueError):
    """Everything that is wrong with a settings file, one line each: path, what was given, what is expected."""

    def __init__(self, path: Path, mistakes: Sequence[str]) -> None:
        self.path, self.mistakes = path, tuple(mistakes)
        super().__init__(f"{path}: " + "; ".join(mistakes))


def mistake(error: Any) -> str:
    """One of pydantic's errors as a sentence that begins with the place in the file."""
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"]).lstrip(".")
    if error["type"] == "missing":
        return f"{where}: missing; it is required"
    if error["type"] == "extra_forbidden":
        return f"{where}: is not known here; remove it or correct its name"
    message = error["msg"].removeprefix("Value error, ")
    given = repr(error["input"])
    given = given if len(given) <= 80 else given[:77] + "..."
    # TOML knows no null: None is the default of what was not given, and of what this field should not do without.
    given = "missing" if error["input"] is None else f"{given} is given"
    return f"{where}: {given}; {message[0].lower() + message[1:]}"


class Entry(BaseModel):
    """A table of a settings file: nothing unknown in it, and it stays as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("letters, digits, '_' and '.' are expected, because it is part of file names")
    return value


def _date(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        pass
    elif isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value = date.fromisoformat(value)
    else:
        raise ValueError("a date such as 2026-01-05 is expected")
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"a date of the years {_FIRST_YEAR} to {_LAST_YEAR} is expected")
    return value


def _number(value: Any) -> Any:
    # A comparison, because it also refuses NaN, and integers that no float can hold.
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise ValueError("a number is expected")
    return value


def _whole(value: Any) -> Any:
    if type(value) is not int:
        raise ValueError("a whole number is expected")
    return value


Id = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
Day = Annotated[date, BeforeValidator(_date)]
Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_whole)]
