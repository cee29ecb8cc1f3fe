"""A policy that answers clients over sockets: one process, one loop, one slot for each client."""

import asyncio
import contextlib
import ipaddress
import socket
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

from mtil.errors import ServingError
from mtil.policies.actor import BATCH, Actor
from mtil.policies.policy import Policy
from mtil.serving.batching import Batcher
from mtil.serving.connection import PATIENCE, Connection
from mtil.serving.contract import Contract
from mtil.serving.protocol import message
from mtil.serving.session import Session

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # a robot that was switched off has left


class PolicyServer:
    """Serves a policy to as many clients at once as it has slots.

    It is always asked for a batch of as many slots as there are, or 32: what a client gets depends neither on how many
    others there are, nor on when they ask.

    Args:
        policy: The policy.
        slots: Clients at once.
        patience: Seconds that a client may keep a message waiting.

    Attributes:
        clients: That came and were given a slot, so far.
    """

    def __init__(self, policy: Policy, *, slots: int, patience: float = PATIENCE) -> None:
        self._actor = Actor(policy, slots=slots, batch=min(slots, BATCH))
        self._batcher, self._contract = Batcher(self._actor), Contract(policy)
        self._patience = patience
        self._free = list(reversed(range(slots)))
        self._embedder = ThreadPoolExecutor(1)
        self._talks: set[asyncio.Task[None]] = set()
        self.clients = 0

    @property
    def decided(self) -> int:
        """Actions and chunks, so far."""
        return self._batcher.decided

    async def run(self, listening: socket.socket, stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        server = await asyncio.start_server(self._welcome, sock=listening)
        try:
            await stop.wait()
        finally:
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            self._embedder.shutdown(cancel_futures=True)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._free:
                await self._serve(reader, writer)
            else:
                taken = f"all {self._actor.slots} slots are taken; come back later, or serve more with --slots"
                writer.write(message({"error": taken}))
        except (OSError, EOFError):  # the client has gone, or takes no answer
            pass
        except Exception:  # ours, not the client's: it loses its connection, the others lose nothing
            traceback.print_exc(file=sys.stderr)
        finally:
            await self._hang_up(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        slot = self._free.pop()
        self.clients += 1
        try:
            _watch(writer)
            writer.write(message(self._contract.greeting()))
            session = Session(
                slot, actor=self._actor, batcher=self._batcher, contract=self._contract, embedder=self._embedder
            )
            await Connection(
                reader, writer, session, largest_body=self._contract.largest_body, patience=self._patience
            ).serve()
        finally:
            self._free.append(slot)

    async def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        try:
            async with asyncio.timeout(self._patience):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            writer.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to; port 0 is one that is free.

    Raises:
        ServingError: There is no such address here, or it is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ServingError(f"{host}:{port}: cannot be listened at: {reason}") from None


def is_loopback(listening: socket.socket) -> bool:
    """Whether this machine alone can connect."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def _watch(writer: asyncio.StreamWriter) -> None:
    """Notice a client that vanishes without a word."""
    client = writer.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        with contextlib.suppress(AttributeError, OSError):  # not every system has them
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
