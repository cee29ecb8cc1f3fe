"""The processes that share a job: started by torchrun, by SLURM, or by Lightning for `trainer.devices`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_LAUNCHERS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))


@dataclass(frozen=True)
class Rank:
    """This process among those that share the job.

    Attributes:
        index: Its number, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it speaks and writes for all."""
        return self.index == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Its part of a list: every so manyth."""
        return items[self.index :: self.count]


def this_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """Which process this is, as its launcher says; the only one, if there is none."""
    for index, count in _LAUNCHERS:
        if index in environment and count in environment:
            return Rank(int(environment[index]), int(environment[count]))
    return Rank(int(environment.get("LOCAL_RANK", 0)), int(environment.get("WORLD_SIZE", 1)))
