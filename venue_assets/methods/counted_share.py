"""How many of those who pass a sensor it counts, from a person who counted beside it."""

from __future__ import annotations

from scipy.special import betaincinv, gammaincinv


def counted_share(counted: int, true: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """An exact interval for the share that a device counts, of which it `counted` some while there were `true` people.

    Each person is counted or missed independently of others, so up to `true` the interval is Clopper and Pearson's for
    a proportion; counts that nobody made are a Poisson number, so above `true` it is 1 plus Garwood's for a rate. The
    two kinds of error are not told apart in a difference: where people were missed and others counted twice, the
    interval is too narrow. People who follow each other closely are missed together; count in quiet and busy times.

    Raises ValueError for numbers below 1.
    Sources: Clopper & Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934); Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936).
    """
    if counted < 1 or true < 1:
        raise ValueError(f"{counted} counted of {true} is given; at least 1 each is expected")
    tail = (1 - confidence) / 2
    missed, extra = true - counted, counted - true
    if extra > 0:
        low, high = gammaincinv(extra, tail), gammaincinv(extra + 1, 1 - tail)
        return 1 + float(low) / true, 1 + float(high) / true
    low = betaincinv(counted, missed + 1, tail)
    return float(low), float(betaincinv(counted + 1, missed, 1 - tail)) if missed else 1.0
