"""The settings of a tree, checked."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

TestType = Literal["bonferroni", "univariate", "teststatistic"]


@dataclass(frozen=True, slots=True)
class Control:
    """When a node is split; names and meanings are those of partykit's `ctree_control`.

    Raises ValueError for a value outside of its range, naming the setting.
    """

    alpha: float = 0.05
    minsplit: int = 20
    minbucket: int = 7
    minprob: float = 0.01
    maxdepth: int | None = None
    testtype: TestType = "bonferroni"
    majority: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        _expect(_is_number(self.alpha) and 0 < self.alpha < 1, "alpha", self.alpha, "a number between 0 and 1")
        _expect(_is_count(self.minsplit, 1), "minsplit", self.minsplit, "a whole number of rows, at least 1")
        _expect(_is_count(self.minbucket, 1), "minbucket", self.minbucket, "a whole number of rows, at least 1")
        _expect(_is_number(self.minprob) and 0 <= self.minprob < 1, "minprob", self.minprob, "a share in [0, 1)")
        _expect(
            self.maxdepth is None or _is_count(self.maxdepth, 0),
            "maxdepth",
            self.maxdepth,
            "None or a whole number of levels below the root, at least 0",
        )
        _expect(
            self.testtype in get_args(TestType), "testtype", self.testtype, f"one of {', '.join(get_args(TestType))}"
        )
        _expect(isinstance(self.majority, bool), "majority", self.majority, "True or False")
        _expect(self.seed is None or _is_count(self.seed, 0), "seed", self.seed, "None or a whole number, at least 0")

    def minimum(self, n: int) -> int:
        """The smallest child, in rows, that a node of `n` rows may get."""
        return max(self.minbucket, ceil(self.minprob * n))


def _expect(holds: bool, setting: str, given: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{setting} is {given!r}; {expected} is expected")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
