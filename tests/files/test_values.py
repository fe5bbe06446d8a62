"""Values of columns as text and numbers, and as the configuration names them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphobench.errors import InputError
from morphobench.files import values

TEXTS = ["01", "1", "001", "4E2", "9E10", "010", "1e1", "1_1", "NaN", "None", "null", "2024", "NA"]


@given(st.lists(st.sampled_from(TEXTS) | st.text(min_size=1), min_size=1))
def test_text_stays_as_it_is(texts):
    assert values.text(pd.Series(texts, dtype=object)).tolist() == texts


@given(st.lists(st.none() | st.integers(-(2**53) + 1, 2**53 - 1), min_size=1))
def test_whole_numbers_keep_their_digits_however_they_are_stored(numbers):
    digits = [None if number is None else str(number) for number in numbers]
    kinds = [pd.Series(numbers, dtype=kind) for kind in ("float64", "Int64", object)]
    for column in [*kinds, pd.Series(pd.Categorical(numbers))]:
        assert values.text(column).tolist() == digits


@pytest.mark.parametrize("text", TEXTS)
def test_each_text_means_itself_alone(text):
    column = pd.Series([*TEXTS, None], dtype=object)
    assert column[values.isin(column, [text])].tolist() == [text]
    assert values.absent(column, [text]) == []


@pytest.mark.parametrize("wanted", [1, 1.0, "1", "1.0"])
@pytest.mark.parametrize("column", [["1", "0", None], ["1.0", "0.0", None], [1.0, 0.0, np.nan], [1, 0, None]])
def test_a_number_means_the_number_however_it_is_written(column, wanted):
    assert values.isin(pd.Series(column), [wanted]).tolist() == [True, False, False]
    assert values.absent(pd.Series(column), [wanted, 2, "x"]) == ["2", "x"]


def test_a_number_means_no_text_with_zeros_before_it_or_an_exponent():
    assert not values.isin(pd.Series(["01", "001", "1e0", "1_0"]), [1, 10]).any()


def test_truth_is_written_in_any_way():
    assert values.isin(pd.Series(["TRUE", "false", "True"]), [True]).tolist() == [True, False, True]
    assert values.isin(pd.Series([True, False]), [True]).tolist() == [True, False]


def test_zero_and_empty_names_are_names():
    column = pd.Series(["0", "a", None])
    assert values.as_named(column, {"control": [0], "": ["a"]}) == {"0": "control", "a": ""}


def test_numbers_are_numbers_and_what_is_none_is_told(caplog):
    found = values.numbers(pd.Series(["1", "2.5", None, "nan", "1e-3", "x"]), "t.csv: column v")
    np.testing.assert_allclose(found, [1, 2.5, np.nan, np.nan, 1e-3, np.nan])
    assert "t.csv: column v: 1 values are no numbers and count as missing: 'x'" in caplog.text


def test_decimal_commas_are_refused():
    with pytest.raises(InputError, match=r"t\.csv: column v: 2,5 has a decimal comma.*point"):
        values.numbers(pd.Series(["1", "2,5"]), "t.csv: column v")
