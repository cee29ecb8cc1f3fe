import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.hdf5 import problem_info
from mtil.errors import DatasetError
from mtil.types import Task

names = st.text(min_size=1).filter(lambda name: "/" not in name)
sentences = st.text(min_size=1).filter(str.strip)


@given(name=names, instructions=st.lists(sentences).map(tuple))
def test_a_task_survives_the_round_trip(name: str, instructions: tuple[str, ...]) -> None:
    task = Task(name, instructions)
    assert problem_info.decode(problem_info.encode(task), "default") == task


def test_an_empty_list_of_instructions_does_not_hide_liberos() -> None:
    text = json.dumps({"instructions": [], "language_instruction": "open it"})
    assert problem_info.decode(text, "drawer-open").instructions == ("open it",)


def test_liberos_reader_finds_one_whole_sentence() -> None:
    info = json.loads(problem_info.encode(Task("reach-v3", ("reach the goal", "go to the goal"))))
    assert "".join(info["language_instruction"]).strip('"') == "reach the goal"


@pytest.mark.parametrize(
    ("told", "instructions"),
    [
        ("open it", ("open it",)),
        ('"open it"', ("open it",)),
        (["open ", "it"], ("open it",)),
        (['"', "o", "p", "e", "n", '"'], ("open",)),
        ("", ()),
        ([], ()),
    ],
)
def test_liberos_instruction_is_one_sentence(told: object, instructions: tuple[str, ...]) -> None:
    task = problem_info.decode(json.dumps({"language_instruction": told}), "drawer-open")
    assert task == Task("drawer-open", instructions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("open it", "expected JSON, found 'open it'"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "expected a JSON object, found list"),
        ('{"task_name": 3}', "task_name: expected a string, found 3"),
        ('{"task_name": "a/b"}', "without '/'"),
        ('{"language_instruction": 3}', "language_instruction: expected a list of strings, found '3'"),
        ('{"instructions": "open it"}', "instructions: expected a list of strings, found 'open it'"),
        ('{"instructions": [" "]}', "is blank"),
    ],
)
def test_malformed_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        problem_info.decode(text, "default")
