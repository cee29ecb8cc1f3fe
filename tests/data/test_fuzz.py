"""Damaged files of every kind end in our own error or in a correct read: the fuzzer's first cases."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from fuzzing.cases import KINDS
from fuzzing.damage import damaged
from fuzzing.watching import Judge
from hypothesis import given
from hypothesis import strategies as st

CASES = 30


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with Judge(tmp_path_factory.mktemp("fuzz"), seed=7, timeout=60) as judge:
        yield judge


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_passes_unseen(judge: Judge, kind: str) -> None:
    verdicts = [judge.judge(kind, number) for number in range(CASES)]
    assert [verdict for verdict in verdicts if verdict.outcome in ("failed", "library")] == []
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    assert outcomes["refused"] > CASES // 3, "the fuzzer hits what matters"
    assert outcomes["right"] > 0, "and what does not"


def test_a_case_is_the_same_each_time(judge: Judge) -> None:
    assert judge.judge("parquet", 3) == judge.judge("parquet", 3)


def test_a_process_that_dies_or_hangs_is_noticed_and_replaced(judge: Judge) -> None:
    assert judge.judge("nonsense", 0).outcome == "failed"
    assert judge.judge("json", 0).outcome != "failed"


@given(content=st.binary(min_size=1, max_size=300), seed=st.integers(0, 2**32))
def test_damage_tells_where_it_is(content: bytes, seed: int) -> None:
    found, words, places = damaged(content, np.random.default_rng(seed))
    assert words
    if len(found) == len(content):
        changed = {at for at, (one, other) in enumerate(zip(content, found, strict=True)) if one != other}
        assert changed <= {at for place in places for at in place}
