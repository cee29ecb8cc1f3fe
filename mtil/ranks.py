"""The processes that share a job: started by torchrun, by SLURM, or by Lightning for `trainer.devices`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_LAUNCHERS = (  # Lightning's own, on one machine, may work inside SLURM's, and torchrun inside both
    ("RANK", "WORLD_SIZE"),
    ("LOCAL_RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # not SLURM_NTASKS: a batch script has that, too, but runs only once
)


@dataclass(frozen=True)
class Rank:
    """This process among those that share the job.

    Attributes:
        index: Its number, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"rank {self.index} of {self.count}"

    @property
    def first(self) -> bool:
        """Whether it speaks and writes for all."""
        return self.index == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Its part of a list: every so manyth."""
        return items[self.index :: self.count]

    def stretch(self, items: Sequence[T]) -> Sequence[T]:
        """Its part of a list: neighbours, as many as any other rank's but for one."""
        start, end = (len(items) * index // self.count for index in (self.index, self.index + 1))
        return items[start:end]


ALONE = Rank()


def this_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """Which process this is, as its launcher says; the only one, if there is none."""
    for index, count in _LAUNCHERS:
        if index in environment and count in environment:
            return Rank(int(environment[index]), int(environment[count]))
    return ALONE


def cores(environment: Mapping[str, str] = os.environ) -> int:
    """CPU cores that this process may keep busy: of those given to it, its part among torchrun's ranks beside it."""
    bound = len(os.sched_getaffinity(0))
    given = int(environment.get("SLURM_CPUS_PER_TASK", bound))
    return max(1, min(bound, given) // int(environment.get("LOCAL_WORLD_SIZE", 1)))
