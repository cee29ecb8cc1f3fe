"""The ranks that evaluate together: each runs a part of the episodes, and learns how all of them ended."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist
from jaxtyping import Int
from torch import Tensor

from mtil.errors import ConfigError, SimulatorError
from mtil.ranks import ALONE, Rank

_ARRIVAL = timedelta(minutes=10)  # ranks start together,
_PATIENCE = timedelta(days=7)  # but the episodes of one may be much slower
_ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


class Peers:
    """This rank and the others.

    Args:
        rank: This one.
        group: What they talk over; None if there are no others.
    """

    def __init__(self, rank: Rank = ALONE, group: dist.ProcessGroup | None = None) -> None:
        assert (group is None) == (rank.count == 1), "several ranks need a process group, and one does not"
        self.rank = rank
        self._group = group

    def total(self, values: Int[Tensor, "*axes"]) -> Int[Tensor, "*axes"]:
        """The sum over the ranks, which all wait for each other here.

        Raises:
            SimulatorError: Another rank has failed.
        """
        if self._group is None:
            return values
        total = values.clone()
        try:
            dist.all_reduce(total, group=self._group)
        except RuntimeError:
            raise SimulatorError("another rank has failed; what it said tells why") from None
        return total


@contextmanager
def joined(rank: Rank) -> Iterator[Peers]:
    """Connect the ranks, which all must enter here, for as long as the block lasts.

    Raises:
        ConfigError: They were started without a way to find each other, or do not.
    """
    if rank.count == 1:
        yield Peers()
        return
    peers = _connect(rank)
    try:
        yield peers
    finally:
        dist.destroy_process_group()


def connected(rank: Rank) -> Peers:
    """The ranks of a job that are connected already, as those of a training are; all must call this."""
    if rank.count == 1:
        return Peers()
    group = dist.new_group(timeout=_PATIENCE, backend="gloo")
    assert isinstance(group, dist.ProcessGroup), "every rank is in the group"
    return Peers(rank, group)


def _connect(rank: Rank) -> Peers:
    address = _address(rank.count)
    try:
        dist.init_process_group("gloo", timeout=_ARRIVAL, rank=rank.index, world_size=rank.count)
        return connected(rank)
    except (RuntimeError, ValueError) as error:
        problem = str(error).partition("\n")[0]
        raise ConfigError(f"the {rank.count} ranks cannot meet at {address}: {problem}") from None


def _address(ranks: int) -> str:
    missing = [name for name in _ADDRESS if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            f"{ranks} ranks were started, but they need {' and '.join(missing)} to find each other; start them with "
            "torchrun (on SLURM: srun torchrun ...)"
        )
    return ":".join(os.environ[name] for name in _ADDRESS)
