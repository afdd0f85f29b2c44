"""Tail probabilities of the chi-squared distribution, on the log scale."""

from __future__ import annotations

from math import exp, expm1, log, log1p

from scipy.special import chdtr, chdtrc, gammaln

_UNDERFLOW = 1e-290
_TERMS = 100


def log_survival(statistic: float, df: int) -> float:
    """log P(χ²_df > statistic), finite for every finite statistic."""
    survival = float(chdtrc(df, statistic))
    if survival > 0.5:
        return log1p(-float(chdtr(df, statistic)))
    if survival > _UNDERFLOW:
        return log(survival)
    # Legendre's continued fraction of the upper incomplete gamma function, from the inside out. This far in the tail
    # it converges within a few terms. Abramowitz & Stegun (1972), 6.5.31, in its even form.
    a, x = df / 2, statistic / 2
    fraction = 0.0
    for k in range(_TERMS, 0, -1):
        fraction = k * (k - a) / (x + 2 * k + 1 - a - fraction)
    return a * log(x) - x - float(gammaln(a)) - log(x + 1 - a - fraction)


def bonferroni(log_p: float, tests: int) -> tuple[float, float]:
    """1 - (1 - p)^tests for p = exp(log_p): the adjusted p-value and its logarithm."""
    if log_p < log(_UNDERFLOW):
        adjusted = log_p + log(tests)
        return exp(adjusted), adjusted
    p = exp(log_p)
    if p == 1:
        return 1.0, 0.0
    p = -expm1(tests * log1p(-p))
    return p, log(p)
