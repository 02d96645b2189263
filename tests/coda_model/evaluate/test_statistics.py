"""Means, intervals and pass@k against brute force and known values."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.evaluate.statistics import clustered_mean, clustered_ratio, paired_difference, pass_at_k


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_pass(samples: int, data: st.DataObject) -> None:
    passed, k = data.draw(st.integers(0, samples)), data.draw(st.integers(1, samples))
    outcomes = [True] * passed + [False] * (samples - passed)
    subsets = list(itertools.combinations(outcomes, k))
    assert pass_at_k(samples, passed, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_needs_k_samples() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        pass_at_k(2, 1, 3)


def test_clusters_widen_the_interval() -> None:
    """Forty equal rows of each of ten problems say no more than ten rows."""
    values = [float(problem % 2) for problem in range(10) for _ in range(40)]
    alone = clustered_mean(values, [str(number) for number in range(400)])
    together = clustered_mean(values, [str(problem) for problem in range(10) for _ in range(40)])
    assert alone is not None
    assert together is not None
    assert alone.value == together.value == 0.5
    assert (alone.rows, alone.clusters, together.clusters) == (400, 400, 10)
    # The standard error of a mean of n coins is 1 / (2 sqrt n).
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(400), rel=0.15)
    assert together.high - together.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(10), rel=0.25)


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcd")), min_size=1, max_size=30), st.integers(0, 3))
def test_intervals_hold_the_mean_and_are_reproducible(rows: list[tuple[float, str]], seed: int) -> None:
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    figure = clustered_mean(values, clusters, seed)
    assert figure == clustered_mean(values, clusters, seed)
    assert figure is not None
    assert min(values) - 1e-9 <= figure.low <= figure.high <= max(values) + 1e-9
    assert figure.value == pytest.approx(sum(values) / len(values))


def test_no_rows_have_no_mean() -> None:
    assert clustered_mean([], []) is None
    assert paired_difference({"a": 1.0}, {"b": 1.0}, {"a": "x"}) is None


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios() -> None:
    figure = clustered_ratio([1, 30], [10, 100], ["a", "b"])
    assert figure.value == pytest.approx(31 / 110)
    assert figure.low == pytest.approx(0.1)
    assert figure.high == pytest.approx(0.3)


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    one = {str(n): float(n % 2) for n in range(60)}
    other = one | {"0": 1.0, "2": 1.0, "4": 1.0}
    figure = paired_difference(one, other, {name: name for name in one})
    assert figure is not None
    assert figure.value == pytest.approx(3 / 60)
    assert 0 <= figure.low < figure.high < 0.12
