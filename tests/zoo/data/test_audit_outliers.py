"""What counts as unlike the rest."""

import numpy as np
import pytest

from zoo.data.audit.outliers import modified_z_scores, outlying


def test_scores_are_those_of_the_published_formula() -> None:
    """0.6745 (x - median) / MAD; Iglewicz and Hoaglin, p. 11. Median 5, deviations 3 2 1 0 1 2 95, MAD 2."""
    values = np.array([2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0])
    expected = [0.6745 * (value - 5) / 2 for value in values]
    assert modified_z_scores(values) == pytest.approx(expected)


def test_where_most_values_are_equal_the_mean_deviation_stands_in() -> None:
    """Median 25, mean absolute deviation 35/10 = 3.5: (60 - 25) / (1.253314 * 3.5)."""
    assert modified_z_scores(np.array([25.0] * 9 + [60.0]))[-1] == pytest.approx(35 / (1.253314 * 3.5))


def test_equal_values_have_no_outliers() -> None:
    assert modified_z_scores(np.full(5, 25.0)).tolist() == [0.0] * 5


def test_one_film_of_60_fps_among_25_fps_stands_out() -> None:
    assert outlying([25.0] * 10 + [60.0], factor=1.25) == [10]


def test_a_small_difference_is_none_however_rare() -> None:
    assert outlying([29.97] * 50 + [30.0], factor=1.25) == []


def test_a_second_kind_of_film_is_not_a_set_of_outliers() -> None:
    """A quarter of the films are wide: that is how the data is."""
    assert outlying([4 / 3] * 30 + [16 / 9] * 10, factor=1.25) == []


def test_the_odd_one_is_found_beside_a_second_kind() -> None:
    assert outlying([4 / 3] * 30 + [16 / 9] * 6 + [9 / 16], factor=1.25) == [36]


def test_of_a_few_films_nothing_can_be_said() -> None:
    assert outlying([25.0] * 6 + [60.0], factor=1.25) == []
