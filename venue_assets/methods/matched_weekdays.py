"""Before against after at one venue, weekday by weekday: the weakest evidence there is, said as such.

Nothing here was randomised: whatever else changed between the two periods is part of the difference.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.two_sample import missing_units, no_variance


def matched_weekdays(
    before: ArrayLike, after: ArrayLike, *, before_weekdays: ArrayLike, after_weekdays: ArrayLike, alpha: float = 0.05
) -> Effect | NotComputable:
    """Mean difference after - before of daily values on the same weekday, by least squares with one level per weekday.

    Arrays of shape (days,): values in the KPI's unit, and any label of the weekday. Weekdays that only one period has
    take no part. A weekday weighs n_b·n_a/(n_b + n_a), so with one day of each it is the paired t test. The error is
    pooled over the weekdays: days within them minus weekdays minus 1 degrees of freedom. `control` and `arm` of the
    result are the weighted means before and after. Days are taken as independent; where a good week lifts all its days
    the interval is too narrow.

    Not computable without days in common, without degrees of freedom, or without variance. Raises ValueError where
    values and weekdays differ in length, or a value is missing.
    Source: Montgomery, "Design and Analysis of Experiments" (2017), chapter 4, blocks = weekdays.
    """
    values = [
        _values(name, y, w) for name, y, w in (("before", before, before_weekdays), ("after", after, after_weekdays))
    ]
    (b, b_days), (a, a_days) = values
    missing = missing_units(len(b), len(a), at_least=1)
    if missing:
        return missing
    common = np.intersect1d(b_days, a_days)
    if len(common) == 0:
        return NotComputable("no_common_weekday", "The two periods have no weekday in common.")
    by_day = [(b[b_days == day], a[a_days == day]) for day in common]
    df = sum(len(x) + len(y) for x, y in by_day) - len(by_day) - 1
    if df < 1:
        return NotComputable(
            "too_few_units", "One day of each period is no comparison: give it at least a second weekday."
        )
    weights = np.array([len(x) * len(y) / (len(x) + len(y)) for x, y in by_day])
    means = np.array([[x.mean(), y.mean()] for x, y in by_day])
    control, arm = (weights @ means / weights.sum()).tolist()
    within = sum(float(((side - side.mean()) ** 2).sum()) for pair in by_day for side in pair)
    between = float(weights @ (means[:, 1] - means[:, 0] - (arm - control)) ** 2)
    if within + between == 0:
        return no_variance(control, arm)
    return Effect(control, arm, sqrt((within + between) / df / float(weights.sum())), alpha, df)


def _values(name: str, values: ArrayLike, weekdays: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.generic]]:
    y: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    w: NDArray[np.generic] = np.asarray(weekdays)
    if y.shape != w.shape:
        raise ValueError(f"{name}: {len(y)} values and {len(w)} weekdays, expected one of each per day.")
    if not np.isfinite(y).all():
        raise ValueError(f"{name}: a day has no value. Leave out days on which the KPI is null.")
    return y, w
