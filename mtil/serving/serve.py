"""From a policy on disk to a server, until it is interrupted."""

import asyncio
import signal
import socket
import sys
from pathlib import Path

import torch

from mtil.policies.checkpoint import load_policy
from mtil.serving.server import PolicyServer, is_loopback, listen


def serve(path: Path, *, host: str, port: int, slots: int, threads: int = 1) -> None:
    """Serve the averaged weights of a policy until Ctrl-C or SIGTERM.

    Standard output gets one line, `HOST:PORT`, once clients can connect.

    Args:
        path: A run directory, a checkpoint or an export.
        host: Name or address to listen at.
        port: Where; 0: one that is free.
        slots: Clients at once.
        threads: Of a forward pass.

    Raises:
        CheckpointError: No policy is there.
        ServingError: The address cannot be listened at.
    """
    torch.set_num_threads(threads)
    with listen(host, port) as listening:
        loaded = load_policy(path)
        server = PolicyServer(loaded.policy, slots=slots)
        _say(f"serving: {loaded.path} (step {loaded.step}, averaged weights), {slots} slots; Ctrl-C ends it")
        if not is_loopback(listening):
            _say(f"warning: whoever reaches {host} can use the policy: there is no authentication, no encryption")
        asyncio.run(_until_stopped(server, listening))
    _say(f"served: {server.decided:,} actions and chunks, {server.clients:,} clients")


async def _until_stopped(server: PolicyServer, listening: socket.socket) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    host, listened = listening.getsockname()[:2]
    print(f"{host}:{listened}", flush=True)
    await server.run(listening, stop)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
