"""Policies at work behind real sockets, in this process."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mtil.policies.actor import Actor
from mtil.policies.checkpoint import load_policy
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.serving.client import Client
from mtil.serving.server import PolicyServer, listen


@dataclass(frozen=True)
class Served:
    """A server that listens.

    Attributes:
        policy: What it serves.
        host: Where it listens.
        port: And at which port.
        server: It.
    """

    policy: Policy
    host: str
    port: int
    server: PolicyServer

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client, which leaves in the end."""
        client = Client(self.host, self.port)
        try:
            yield client
        finally:
            client.close()

    def see(self, task: str, number: int = 0) -> dict[str, np.ndarray]:
        """One of many observations of a task."""
        random = np.random.default_rng(number)
        return {
            feature.key: random.integers(0, 256, feature.shape, np.uint8)
            if feature.kind == "image"
            else random.normal(size=self.policy.spec.width(feature.key, task)).astype(feature.dtype)
            for feature in self.policy.spec.observations
        }

    def actor(self, task: str, *, told: tuple[str, str] | None = None, batch: int = 32) -> Actor:
        """The policy itself in one slot, which has begun a task, told by name or by another kind of descriptor."""
        kind, words = told or ("one_hot", task)
        actor = Actor(self.policy, slots=1, batch=batch)
        with torch.inference_mode():
            actor.reset(0, self.policy.embed(kind, [words])[0], task)
        return actor


@contextmanager
def serving(policy: Policy, *, slots: int = 32, patience: float = 30.0) -> Iterator[Served]:
    """A server in a thread of its own; in the end nothing of it is left."""
    server, loops = PolicyServer(policy, slots=slots, patience=patience), []
    stop, started = asyncio.Event(), threading.Event()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        started.set()
        await server.run(listening, stop)

    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        started.wait()
        try:
            host, port = listening.getsockname()
            yield Served(policy, host, port, server)
        finally:
            loops[0].call_soon_threadsafe(stop.set)
            thread.join()


@pytest.fixture(scope="session")
def export() -> Path:
    """A policy on disk."""
    return Path(__file__).parents[1] / "policies" / "exports" / "0.1"


@pytest.fixture(scope="session")
def policy(export: Path) -> Policy:
    """For tasks of two sizes, told by name or in words; with a camera, a history of two, chunks of three actions."""
    small = load_policy(export).policy  # so small that its kernels round a row by its place in the batch
    config = PolicyConfig.model_validate(small.config.model_dump() | {"trunk": {"width": 16, "depth": 1}})
    torch.manual_seed(0)
    policy = Policy(config, small.spec, state=small.state_dict())
    with torch.no_grad():  # FiLM begins as the identity
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return policy.eval()


@pytest.fixture(scope="module")
def served(policy: Policy) -> Iterator[Served]:
    """That policy, served."""
    with serving(policy) as found:
        yield found


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[Served]]:
    """Serves another, or otherwise."""
    return serving
