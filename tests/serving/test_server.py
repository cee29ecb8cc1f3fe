"""What is served is what an actor does, whoever else is there; slots come and go."""

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mtil.errors import ServingError
from mtil.policies.actor import Actor
from mtil.serving.client import Client
from mtil.serving.server import is_loopback, listen

Serve = Callable[..., Any]
TASKS = ("narrow", "wide")
STEPS = 6


@pytest.mark.parametrize("clients", [1, 16])
def test_actions_are_those_of_an_actor_to_the_bit(served: Any, clients: int) -> None:
    """Two episodes of each client, all at the same time, each of its own task with its own observations."""
    together = threading.Barrier(clients)

    def observations(number: int) -> list[dict[str, np.ndarray]]:
        return [served.see(TASKS[number % 2], STEPS * number + step) for step in range(STEPS)]

    def play(number: int) -> list[np.ndarray]:
        with served.client() as client:
            together.wait()
            actions = []
            for _ in range(2):
                client.reset(TASKS[number % 2], kind="one_hot")
                actions += [client.act(each) for each in observations(number)]
            return actions

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(play, range(clients)))
    for number, actions in enumerate(found):
        actor = served.actor(TASKS[number % 2])
        expected = [actor.act([each])[0] for each in observations(number)]
        np.testing.assert_array_equal(actions, [*expected, *expected], strict=True)


def test_few_slots_are_a_small_batch(served: Any, serve: Serve) -> None:
    observation = served.see("wide")
    with serve(served.policy, slots=3) as small, small.client() as client:
        client.reset("wide", kind="one_hot")
        expected = served.actor("wide", batch=3).act([observation])[0]
        np.testing.assert_array_equal(client.act(observation), expected, strict=True)


def test_what_is_left_of_the_chunk_at_a_delay(served: Any) -> None:
    """The first actions, for steps that will be past by then, are left out."""
    observation, chunk = served.see("wide"), served.policy.config.chunk
    (whole,) = served.actor("wide").chunks([observation])
    with served.client() as client:
        for delay in range(chunk):
            client.reset("wide", kind="one_hot")
            found = client.chunk(observation, delay=delay)
            assert found.shape == (chunk - delay, 2)
            np.testing.assert_array_equal(found, whole[delay:], strict=True)
        with pytest.raises(RuntimeError, match="delay: expected 0 to 2 control steps, as the chunk has 3, found 3"):
            client.chunk(observation, delay=chunk)
        with pytest.raises(RuntimeError, match="delay: Input should be greater than or equal to 0"):
            client.chunk(observation, delay=-1)


def test_a_history_is_of_all_that_was_shown(served: Any) -> None:
    earlier, now = served.see("wide", 1), served.see("wide", 2)
    actor = served.actor("wide")
    actor.act([earlier])
    (expected,) = actor.chunks([now])
    with served.client() as client:
        client.reset("wide", kind="one_hot")
        client.observe(earlier)
        found = client.chunk(now)
        np.testing.assert_array_equal(found, expected, strict=True)
        client.reset("wide", kind="one_hot")
        assert not np.array_equal(client.chunk(now), found)


def test_more_clients_than_slots(served: Any, serve: Serve) -> None:
    """The next is told, and let in when another has left; what was there before it does not matter."""
    with serve(served.policy, slots=2) as small:
        first, second = (Client(small.host, small.port) for _ in range(2))
        first.reset("narrow", kind="one_hot")
        first.act(served.see("narrow"))
        with pytest.raises(RuntimeError, match="all 2 slots are taken; come back later, or serve more with --slots"):
            Client(small.host, small.port)
        first.close()
        third = _when_there_is_room(small)
        with pytest.raises(RuntimeError, match="act: expected a reset before it, which tells the task"):
            third._ask({"do": "act"}, {}, {})
        third.reset("wide", kind="one_hot")
        expected = served.actor("wide", batch=2).act([served.see("wide")])[0]
        np.testing.assert_array_equal(third.act(served.see("wide")), expected, strict=True)
        for client in (second, third):
            client.close()


def test_clients_that_vanish_give_their_slots_back(served: Any, serve: Serve) -> None:
    with serve(served.policy, slots=1) as small:
        for number in range(8):
            client = _when_there_is_room(small)
            client.reset("wide", kind="one_hot")
            client._socket.sendall(b"\x40\0\0\0\0\0\0\0{"[: 1 + number])  # in the middle of a message
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            if number % 2:
                client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # as a cable that is pulled
            client.close()
        _when_there_is_room(small).close()


def test_a_failure_of_ours_costs_one_client_its_connection(
    served: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    observation = served.see("wide")
    with served.client() as client, served.client() as unlucky:
        for each in (client, unlucky):
            each.reset("wide", kind="one_hot")
        with monkeypatch.context() as patch:
            patch.setattr(Actor, "chunks", lambda *_: 1 / 0)
            with pytest.raises(ConnectionError, match="the server has closed the connection"):
                unlucky.chunk(observation)
        assert np.array_equal(client.act(observation), served.actor("wide").act([observation])[0])
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_stopping_does_not_wait_for_clients(served: Any, serve: Serve) -> None:
    with serve(served.policy) as another:
        clients = [Client(another.host, another.port) for _ in range(3)]
        clients[1].reset("wide", kind="one_hot")
        clients[2]._socket.sendall(b"\x40\0")
    for client in clients:
        with pytest.raises(ConnectionError):
            client.reset("wide", kind="one_hot")
        client.close()
    assert (another.server.clients, another.server.decided) == (3, 0)


def test_addresses() -> None:
    with listen("127.0.0.1", 0) as one, listen("0.0.0.0", 0) as two:
        assert is_loopback(one)
        assert not is_loopback(two)
        port = one.getsockname()[1]
        with pytest.raises(ServingError, match=rf"127\.0\.0\.1:{port}: cannot be listened at: Address already in use"):
            listen("127.0.0.1", port)
    with pytest.raises(ServingError, match=r"192\.0\.2\.1:0: cannot be listened at: Cannot assign requested address"):
        listen("192.0.2.1", 0)
    with pytest.raises(ServingError, match=r"no such\.host:1: cannot be listened at: "):
        listen("no such.host", 1)


def _when_there_is_room(small: Any) -> Client:
    """A client, once the server has noticed that another has gone."""
    for _ in range(10_000):
        with contextlib.suppress(RuntimeError):
            return Client(small.host, small.port)
    raise AssertionError("there was never room")
