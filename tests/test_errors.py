import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil import errors
from mtil.errors import MtilError, unknown

names = st.text(st.characters(categories=["Ll", "Nd"], include_characters="-_"), min_size=1, max_size=12)


def test_one_root_catches_every_error() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]
    assert len(classes) > 5
    assert all(issubclass(each, MtilError) for each in classes)


@given(names, st.lists(names, min_size=1))
def test_an_unknown_name_and_all_valid_ones_are_told_in_one_line(name: str, valid: list[str]) -> None:
    message = unknown("task", name, valid)
    assert message.startswith(f"unknown task {name!r}")
    assert message.endswith(f" valid: {', '.join(valid)}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "valid", "message"),
    [
        ("recah", ["push", "reach"], "unknown task 'recah'; did you mean 'reach'? valid: push, reach"),
        ("xyzzy", ["push", "reach"], "unknown task 'xyzzy'; valid: push, reach"),
        ("reach", [], "unknown task 'reach'; valid: none"),
    ],
)
def test_the_nearest_name_is_offered_if_one_is_near(name: str, valid: list[str], message: str) -> None:
    assert unknown("task", name, iter(valid)) == message
