"""Canonical JSON (RFC 8785): one sequence of bytes per document, so that a signature does not hang on white space.

Written here rather than taken from a package: the rules are few, the one candidate (rfc8785) has not been released for
years, and a gateway then needs nothing more.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, Final

_EXACT: Final = 2**53 - 1
"""The largest integer that every JSON reader takes as it is written."""


def canonical(value: Any) -> bytes:
    """UTF-8 of None, booleans, strings, numbers, lists, and dictionaries with strings as keys.

    Keys are sorted by their UTF-16 code units; numbers are written as ECMAScript does. Raises ValueError for NaN,
    infinity, integers beyond ±(2^53 - 1), lone surrogates, and anything else than the above.
    """
    try:
        return _text(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a text with half a character cannot be written as JSON: {error.object[:80]!r}") from None


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > _EXACT:
            raise ValueError(f"{value} is given; an integer within ±(2^53 - 1) is expected")
        return str(int(value))
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in items) + "}"
    raise ValueError(f"{value!r:.80} is given; JSON's own types are expected, with strings as keys")


def _number(value: float) -> str:
    """As Number::toString of ECMAScript: the shortest digits that give the number back, as Python finds them, too."""
    if not isfinite(value):
        raise ValueError(f"{value} is given; a finite number is expected")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The number is 0.digits · 10^point.
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        shown = digits.ljust(point, "0")
        return sign + shown[:point] + (f".{shown[point:]}" if len(shown) > point else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{'+' if power > 0 else '-'}{abs(power)}"
