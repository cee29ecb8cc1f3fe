import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.ranks import ALONE, Rank, cores, this_rank

counts = st.integers(1, 12)
TORCHRUN = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
LIGHTNING = {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}
BATCH_SCRIPT = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "1"}
SRUN = BATCH_SCRIPT | {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}


@given(items=st.lists(st.integers()), count=counts)
def test_the_ranks_shares_are_everything_once_and_of_equal_size(items: list[int], count: int) -> None:
    ranks = [Rank(index, count) for index in range(count)]
    shares = [list(rank.share(items)) for rank in ranks]
    assert sorted(item for share in shares for item in share) == sorted(items)
    stretches = [list(rank.stretch(items)) for rank in ranks]
    assert [item for stretch in stretches for item in stretch] == items
    for parts in (shares, stretches):
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_one_has_everything() -> None:
    assert ALONE.first
    assert ALONE.share("abc") == ALONE.stretch("abc") == "abc"


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, ALONE),
        (TORCHRUN, Rank(5, 8)),
        (LIGHTNING, Rank(1, 2)),
        (SRUN, Rank(3, 4)),
        (BATCH_SCRIPT, ALONE),
        (SRUN | TORCHRUN, Rank(5, 8)),
        (SRUN | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"} | LIGHTNING, Rank(1, 2)),
        ({"WORLD_SIZE": "4"}, ALONE),
    ],
    ids=["none", "torchrun", "Lightning", "srun", "sbatch", "torchrun under srun", "Lightning under srun", "half"],
)
def test_the_launcher_says_which_rank_this_is(environment: dict[str, str], rank: Rank) -> None:
    assert this_rank(environment) == rank
    assert rank.first == (rank.index == 0)


def test_ranks_on_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)))
    assert cores({}) == 12
    assert cores(TORCHRUN) == 3
    assert cores(SRUN) == 1
    assert cores(SRUN | TORCHRUN | {"SLURM_CPUS_PER_TASK": "8"}) == 2
    assert cores({"LOCAL_WORLD_SIZE": "64"}) == 1
    assert cores({"SLURM_CPUS_PER_TASK": "64"}) == 12
