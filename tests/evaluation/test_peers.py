"""Ranks in processes of their own, as a launcher would start them."""

import signal
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist

from mtil.errors import ConfigError
from mtil.evaluation.peers import Peers, joined
from mtil.ranks import ALONE, Rank

Launch = Callable[..., list]

SCRIPT = """
import os, signal, sys, torch
from mtil.errors import MtilError
from mtil.evaluation.peers import joined
from mtil.ranks import this_rank

try:
    with joined(this_rank()) as peers:
        index = peers.rank.index
        print(peers.total(torch.tensor([[1, index], [0, 10 * index]])).tolist(), flush=True)
        if index == {failing}:
            {end}
        peers.total(torch.tensor(0))
except MtilError as error:
    assert not torch.distributed.is_initialized()
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("failing", "end", "status"),
    [(0, "os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL), (1, "sys.exit('a mistake')", 1)],
    ids=["the first is killed", "the second exits"],
)
def test_ranks_learn_the_total_and_of_a_failure(launch: Launch, failing: int, end: str, status: int) -> None:
    found = launch([["-c", SCRIPT.format(failing=failing, end=end)]] * 2)
    assert [rank.stdout for rank in found] == 2 * ["[[2, 1], [0, 10]]\n"]
    assert found[failing].returncode == status
    survivor = found[1 - failing]
    assert survivor.returncode == 1
    assert survivor.stderr.endswith("another rank has failed; what it said tells why\n")


def test_alone_nothing_is_connected() -> None:
    values = torch.tensor([3, 4])
    with joined(ALONE) as peers:
        assert not dist.is_initialized()
        assert peers.rank == ALONE
        assert torch.equal(peers.total(values), values)
    assert torch.equal(Peers().total(values), values)


def test_ranks_without_a_place_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("MASTER_PORT", "0")
    with pytest.raises(ConfigError, match=r"4 ranks were started, but they need MASTER_ADDR to find.*srun torchrun"):
        joined(Rank(1, 4)).__enter__()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "harbour")
    with pytest.raises(ConfigError, match=r"the 4 ranks cannot meet at 127\.0\.0\.1:harbour: .*harbour"):
        joined(Rank(1, 4)).__enter__()
    assert not dist.is_initialized()
