"""Observations of many clients, decided for at once.

Legend: A action dimensions, K chunk.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from mtil.policies.actor import Actor, Observation

Actions = Shaped[np.ndarray, "..."]
"""One action (A,) or a chunk (K, A)."""

_QUIET_TURNS = 2  # of the loop, that bring no request: one reads what has come, the next asks for it
_Decide = Callable[[Sequence[Observation | None]], Sequence[Actions | None]]


class Batcher:
    """Decides at once for all that has been asked.

    A batch costs the same however full it is. So nobody waits by the clock for others, who may not come; but what has
    come already, while the policy decided or answers were sent, is read first.

    Args:
        actor: Decides, with a slot for each client.

    Attributes:
        decided: Actions and chunks so far.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._waiting: dict[_Decide, dict[int, tuple[Observation, asyncio.Future[Actions]]]] = {}
        self.decided = 0

    async def act(self, slot: int, observation: Observation) -> Actions:
        """The action to take in a slot."""
        return await self._decided(self._actor.act, slot, observation)

    async def chunk(self, slot: int, observation: Observation) -> Actions:
        """All that the policy predicts in a slot."""
        return await self._decided(self._actor.chunks, slot, observation)

    async def _decided(self, decide: _Decide, slot: int, observation: Observation) -> Actions:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._decide_when_quiet, 0)
        future: asyncio.Future[Actions] = loop.create_future()
        self._waiting.setdefault(decide, {})[slot] = (observation, future)
        return await future

    def _decide_when_quiet(self, before: int, turns: int = 0) -> None:
        """Decide, once nothing more comes in."""
        now = sum(map(len, self._waiting.values()))
        turns = turns + 1 if now == before else 0
        if turns < _QUIET_TURNS:
            asyncio.get_running_loop().call_soon(self._decide_when_quiet, now, turns)
            return
        waiting, self._waiting = self._waiting, {}
        for decide, asked in waiting.items():
            self._decide(decide, asked)

    def _decide(self, decide: _Decide, asked: Mapping[int, tuple[Observation, asyncio.Future[Actions]]]) -> None:
        observations = [asked[slot][0] if slot in asked else None for slot in range(self._actor.slots)]
        try:
            actions = decide(observations)
        except Exception as error:  # whoever asked is told; the others go on
            for _, future in asked.values():
                if not future.done():
                    future.set_exception(error)
            return
        self.decided += len(asked)
        for slot, (_, future) in asked.items():
            found = actions[slot]
            assert found is not None, "a slot that has an observation has an action"
            if not future.done():
                future.set_result(found)
