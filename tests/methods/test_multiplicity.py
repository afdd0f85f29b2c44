"""Corrections for several comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venue_assets.methods.multiplicity import bonferroni, holm

p_values = st.lists(st.floats(0, 1), max_size=8)


def test_by_hand() -> None:
    """Holm: 4 · 0.005, 3 · 0.01, 2 · 0.03, and 1 · 0.04, which may not fall below the one before."""
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert bonferroni(p) == pytest.approx([0.04, 0.16, 0.12, 0.02])


@settings(deadline=None)
@given(p_values)
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    for raw, found, most in zip(p, adjusted, bonferroni(p), strict=True):
        assert raw <= found <= most + 1e-15
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_a_value_that_is_no_probability_is_refused() -> None:
    for correct in (holm, bonferroni):
        with pytest.raises(ValueError, match=r"p_values\[1\] is nan"):
            correct([0.5, float("nan")])
