"""How the report speaks: two languages side by side, and numbers, money, times and changes as people write them.

What does not belong here: what is said of the figures (findings.py), and labels of metrics (the registry has them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from venue_assets.semantic_layer.covariates import SHORT_WEEKDAYS
from venue_assets.semantic_layer.metrics import Language, Metric

_WEEKDAYS: Final = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "zh": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUS: Final = "\N{MINUS SIGN}"
_NARROW: Final = "\N{NO-BREAK SPACE}"
NOTHING: Final = "\N{EN DASH}"
"""Where there is no figure."""


@dataclass(frozen=True)
class Words:
    """One language. Called with a text in both, gives the one to show."""

    language: Language
    smallest_cell: int = 0
    """Figures that rest on fewer people are not told."""

    def __call__(self, en: str, zh: str) -> str:
        return zh if self.language == "zh" else en

    def number(self, value: float | Decimal, digits: int = 0) -> str:
        """1,234.5"""
        text = f"{abs(value):,.{digits}f}"
        return f"{_MINUS}{text}" if value < 0 and text.strip("0.,") else text

    def percent(self, share: float, digits: int = 1) -> str:
        """12.9 %"""
        return self.number(100 * share, digits) + self(f"{_NARROW}%", "%")

    def money(self, amount: float | Decimal, currency: str, digits: int = 2) -> str:
        """1,234.50 EUR: the code, for the sign of a currency may be another one's, too."""
        return f"{self.number(amount, digits)}{_NARROW}{currency}"

    def duration(self, seconds: float) -> str:
        """3 min 20 s"""
        if round(seconds) < 0:
            return _MINUS + self.duration(-seconds)
        whole = round(seconds)
        hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
        h, m, s = self(" h", " 小时"), self(" min", " 分"), self(" s", " 秒")
        parts = [(hours, h), (minutes, m)] if hours else [(minutes, m), (rest, s)] if minutes else [(rest, s)]
        return " ".join(f"{n}{unit}" for n, unit in parts).replace(" ", _NARROW)

    def value(self, metric: Metric, value: Any, currency: str, *, suppressed: bool = False) -> str:
        """A figure as the registry has it written."""
        if suppressed:
            return self.withheld
        if value is None:
            return NOTHING
        if metric.is_money:
            return self.money(value, currency)
        if metric.unit == "s":
            return self.duration(value)
        if metric.format.endswith("%"):
            return self.percent(value)
        return self.number(value)

    def change(self, metric: Metric, now: float, before: float) -> str | None:
        """Relative change with its sign; of fractions the difference in points. Nothing from nothing."""
        if metric.format.endswith("%"):
            return self.points(now - before)
        return None if not before else f"{self.signed(100 * (now / before - 1), 1)}{self(_NARROW, '')}%"

    def signed(self, value: float, digits: int = 0) -> str:
        """+1.2"""
        text = self.number(value, digits)
        return text if text.startswith(_MINUS) or not text.strip("0.,") else f"+{text}"

    def day(self, day: date) -> str:
        """18 January, short: 18 Jan"""
        return self(f"{day.day} {_MONTHS[day.month - 1]}", f"{day.month}月{day.day}日")

    def full_day(self, day: date) -> str:
        """Sunday, 18 Jan 2026"""
        return self(
            f"{self.weekday(day)}, {self.day(day)} {day.year}", f"{day.year}年{self.day(day)} {self.weekday(day)}"
        )

    def days(self, first: date, last: date) -> str:
        """9 Jan to 18 Jan 2026"""
        same = first.year == last.year
        return self(
            f"{self.day(first)}{'' if same else f' {first.year}'} to {self.day(last)} {last.year}",
            f"{first.year}年{self.day(first)}至{'' if same else f'{last.year}年'}{self.day(last)}",
        )

    def short_day(self, day: date) -> str:
        """Sun 18 Jan"""
        short = self.weekdays()[day.weekday()]
        return self(f"{short} {self.day(day)}", f"{self.day(day)}（{short}）")

    def points(self, difference: float) -> str:
        """+1.2 points, of a difference of fractions"""
        return self.signed(100 * difference, 1) + self(f"{_NARROW}points", " 个百分点")

    @property
    def withheld(self) -> str:
        """In the place of a figure that is not told."""
        return self("withheld", "不公布")

    def weekday(self, day: date) -> str:
        """Sunday"""
        return _WEEKDAYS[self.language][day.weekday()]

    def weekdays(self) -> Sequence[str]:
        """Mon to Sun."""
        return SHORT_WEEKDAYS[self.language]

    def clock(self, seconds: float) -> str:
        """17:30, from seconds after midnight; a day that ends after midnight goes on there."""
        minutes = round(seconds / 60) % (24 * 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    def listed(self, items: Sequence[str]) -> str:
        """a, b and c"""
        if len(items) < 2:
            return "".join(items)
        return self(", ", "、").join(items[:-1]) + self(" and ", "和") + items[-1]

    def count(self, n: float | Decimal, one: str, many: str, zh: str) -> str:
        """1 date, 2 dates, 2 个日期"""
        number = self.number(n)
        return self(f"{number}{_NARROW}{one if number == '1' else many}", f"{number}{zh}")

    def names(self, days: Sequence[date]) -> Mapping[date, str]:
        """Dates by day and month; with the year where two would be called the same."""
        short = {day: self.day(day) for day in days}
        if len(set(short.values())) == len(short):
            return short
        return {day: self(f"{name} {day.year}", f"{day.year}年{name}") for day, name in short.items()}


def typeset(sentence: str) -> str:
    """A sentence of a table, with the minus and the unbroken per cent of the rest of the page."""
    return re.sub(r"(?<=\d) %", f"{_NARROW}%", re.sub(r"(?<![\w-])-(?=\d)", _MINUS, sentence))


def span(last: date, days: int) -> tuple[date, date]:
    """The `days` dates that end at `last`."""
    return last - timedelta(days=days - 1), last
