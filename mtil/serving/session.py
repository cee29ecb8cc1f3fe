"""One client's episodes, in a slot of its own."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import assert_never

import numpy as np
from jaxtyping import Shaped

from mtil.errors import ServingError
from mtil.policies.actor import Actor, Observation
from mtil.serving.batching import Actions, Batcher
from mtil.serving.contract import Contract
from mtil.serving.protocol import Act, ArrayTypes, Chunk, Observe, Request, Reset, message


class Session:
    """What a client's requests do.

    Args:
        slot: Of the actor, the client's own.
        actor: The policy at work.
        batcher: Has it decide.
        contract: What requests must hold.
        embedder: Where tasks are embedded: to load a language model takes seconds, in which others want to act.
    """

    def __init__(self, slot: int, *, actor: Actor, batcher: Batcher, contract: Contract, embedder: Executor) -> None:
        self._slot, self._actor, self._batcher = slot, actor, batcher
        self._contract, self._embedder = contract, embedder
        self._observations: ArrayTypes | None = None  # of the episode, once there is one

    def expected(self, request: Request) -> ArrayTypes:
        """What arrays a request must bring.

        Raises:
            MtilError: It does not fit the policy, or comes before its time.
        """
        if isinstance(request, Reset):
            return self._contract.descriptor(request)
        if self._observations is None:
            raise ServingError(f"{request.do}: expected a reset before it, which tells the task")
        if isinstance(request, Chunk) and request.delay >= self._contract.chunk:
            last, found = self._contract.chunk - 1, request.delay
            raise ServingError(f"delay: expected 0 to {last} control steps, as the chunk has {last + 1}, found {found}")
        return self._observations

    async def answer(self, request: Request, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> bytes:
        """The answer to a request that was checked.

        Raises:
            MtilError: The task is told by nothing that the policy knows, or no action comes of the observation.
        """
        match request:
            case Reset():
                return await self._begin(request, arrays)
            case Act():
                return _acting(await self._batcher.act(self._slot, arrays))
            case Chunk():
                return _acting((await self._batcher.chunk(self._slot, arrays))[request.delay :])
            case Observe():
                self._actor.observe(self._alone(arrays))
                return message({})
            case _:
                assert_never(request)

    async def _begin(self, reset: Reset, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> bytes:
        loop = asyncio.get_running_loop()
        z = await loop.run_in_executor(self._embedder, self._contract.z, reset, arrays)
        self._actor.reset(self._slot, z, reset.task or "")
        self._observations = self._contract.observations(reset)
        return message(self._contract.episode(reset))

    def _alone(self, observation: Observation) -> list[Observation | None]:
        return [observation if slot == self._slot else None for slot in range(self._actor.slots)]


def _acting(actions: Actions) -> bytes:
    """An answer that a robot may act on.

    Raises:
        ServingError: It must not.
    """
    if not np.isfinite(actions).all():
        raise ServingError("actions: the policy gives NaN or infinity for what it was shown in this episode")
    return message({}, {"actions": actions})
