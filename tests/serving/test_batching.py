"""What waits at the same time is decided for at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mtil.policies.actor import Actor, Observation
from mtil.policies.policy import Policy
from mtil.serving.batching import Batcher


class Watched(Actor):
    """Tells for which slots it was asked to decide."""

    def __init__(self, policy: Policy, *, slots: int) -> None:
        super().__init__(policy, slots=slots)
        self.asked: list[tuple[str, list[int]]] = []

    def act(self, observations: Sequence[Observation | None]) -> Any:
        self._note("act", observations)
        return super().act(observations)

    def chunks(self, observations: Sequence[Observation | None]) -> Any:
        self._note("chunks", observations)
        return super().chunks(observations)

    def _note(self, how: str, observations: Sequence[Observation | None]) -> None:
        self.asked.append((how, [row for row, each in enumerate(observations) if each is not None]))


def test_each_kind_of_answer_is_one_batch(policy: Policy, served: Any) -> None:
    actor, observation = Watched(policy, slots=5), served.see("wide")
    for slot in range(5):
        actor.reset(slot, torch.zeros(policy.task_encoders.width), "wide")
    batcher = Batcher(actor)

    async def ask() -> list[np.ndarray]:
        first = await asyncio.gather(
            batcher.act(3, observation), batcher.chunk(1, observation), batcher.act(0, observation)
        )
        return [*first, await batcher.act(4, observation)]

    action, chunk, *others = asyncio.run(ask())
    assert actor.asked == [("act", [0, 3]), ("chunks", [1]), ("act", [4])]
    assert batcher.decided == 4
    assert all(np.array_equal(action, other) for other in (*others, chunk[0]))


def test_who_has_gone_is_decided_for_in_vain(policy: Policy, served: Any) -> None:
    actor, observation = Actor(policy, slots=2), served.see("wide")
    for slot in range(2):
        actor.reset(slot, torch.zeros(policy.task_encoders.width), "wide")
    batcher = Batcher(actor)

    async def ask() -> np.ndarray:
        gone, stays = (asyncio.create_task(batcher.act(slot, observation)) for slot in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert np.isfinite(asyncio.run(ask())).all()
