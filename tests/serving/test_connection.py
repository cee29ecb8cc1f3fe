"""Requests that are malformed, oversized, cut off or slow: each is answered, and nobody else notices."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtil.serving.client import SIZES, Client
from mtil.serving.protocol import LARGEST_HEADER

Serve = Callable[..., Any]
Talk = Callable[..., list[dict[str, Any]]]
WIDE = {"proprio": {"dtype": "<f4", "shape": [3]}, "front_image": {"dtype": "|u1", "shape": [16, 16, 3]}}
BODY = bytes(3 * 4 + 16 * 16 * 3)
RESET = {"do": "reset", "task": "wide", "kind": "one_hot"}


@pytest.fixture(scope="module")
def good(served: Any) -> Iterator[Client]:
    """A client that behaves, beside those that do not."""
    with served.client() as client:
        client.reset("wide", kind="one_hot")
        yield client


@pytest.fixture(scope="module")
def talk(served: Any, good: Client) -> Talk:
    """Sends bytes as they are, then nothing more; tells the answers, and checks that the good client has its own."""
    observation = served.see("wide")
    _, expected = (good.act(observation) for _ in range(2))  # its history is then full of it

    def say(*parts: bytes) -> list[dict[str, Any]]:
        with socket.create_connection((served.host, served.port)) as raw, raw.makefile("rb") as answers:
            for part in parts:
                raw.sendall(part)
            raw.shutdown(socket.SHUT_WR)
            read(answers)
            found = list(iter(lambda: read(answers), None))
        np.testing.assert_array_equal(good.act(observation), expected, strict=True)
        return found

    return say


def read(answers: Any) -> dict[str, Any] | None:
    """The header of the next answer; None where there is none."""
    sizes = answers.read(SIZES.size)
    if not sizes:
        return None
    header, body = (answers.read(size) for size in SIZES.unpack(sizes))
    assert not body or "arrays" in json.loads(header)
    return json.loads(header)


def request(header: Any, body: bytes = b"", *, size: int | None = None) -> bytes:
    """A message, of arrays that may be announced otherwise than they come."""
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return SIZES.pack(len(told), len(body) if size is None else size) + told + body


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (request({"do": "act", "arrays": WIDE}, BODY), "act: expected a reset before it, which tells the task"),
        (request(b"not json", BODY), "request: header: Invalid JSON"),
        (request(b"", BODY), "request: header: Invalid JSON"),
        (request({"do": "fly"}), "Input tag 'fly'"),
        (request({"do": "reset", "task": "wid"}), "unknown task 'wid'; did you mean 'wide'? valid: narrow, wide"),
        (request({"do": "reset", "task": "wide", "kind": "video"}), "unknown condition for this policy 'video'"),
        (request({"do": "reset", "words": "go"}), "task: expected a name, since tasks differ in size"),
        (request(RESET, BODY), "arrays: expected 0 bytes, as they are described, found 780"),
        (request({**RESET, "arrays": WIDE}, BODY), "arrays: unknown key 'proprio'; valid: none"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:30],
)
def test_a_request_that_does_not_fit_is_answered_and_the_next_one_read(talk: Talk, broken: bytes, error: str) -> None:
    first, second = talk(broken + request(RESET))
    assert error in first["error"]
    assert second["kind"] == "one_hot"


@pytest.mark.parametrize(
    ("change", "body", "error"),
    [
        ({"arrays": {}}, b"", "arrays: expected 'proprio' (<f4 [3]), found none"),
        ({"arrays": WIDE}, BODY[1:], "arrays: expected 780 bytes, as they are described, found 779"),
        ({"arrays": WIDE | {"proprio": {"dtype": "<f8", "shape": [3]}}}, BODY, "expected <f4 [3], found <f8 [3]"),
        ({"arrays": WIDE | {"proprio": {"dtype": "|O", "shape": [3]}}}, BODY, "expected <f4 [3], found |O [3]"),
        ({"arrays": WIDE | {"proprio": {"dtype": "<f4", "shape": [2]}}}, BODY[4:], "expected <f4 [3], found <f4 [2]"),
        ({"arrays": WIDE}, np.array([0, 0, np.inf], "<f4").tobytes() + BODY[12:], "entry [2] is NaN or infinite"),
        ({"do": "chunk", "delay": 3, "arrays": WIDE}, BODY, "delay: expected 0 to 2 control steps"),
    ],
)  # fmt: skip
def test_so_is_an_observation(talk: Talk, change: dict[str, Any], body: bytes, error: str) -> None:
    act = {"do": "act", "arrays": WIDE}
    _, refused, answered = talk(request(RESET), request(act | change, body), request(act, BODY))
    assert error in refused["error"]
    assert answered["arrays"] == {"actions": {"dtype": "<f4", "shape": [2]}}


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (SIZES.pack(LARGEST_HEADER + 1, 0), "header: expected 16384 bytes at most, found 16385"),
        (SIZES.pack(2**32 - 1, 2**32 - 1), "header: expected 16384 bytes at most, found 4294967295"),
        (request({"do": "act"}, size=781), "arrays: expected 780 bytes at most, found 781"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "header: expected 16384 bytes at most, found 542393671"),
        (request({"do": "act"}, bytes(2**24)), "arrays: expected 780 bytes at most, found 16777216"),
    ],
    ids=["header", "huge", "arrays", "http", "sent"],
)
def test_what_is_too_large_is_answered_and_not_read(talk: Talk, broken: bytes, error: str) -> None:
    """Where the next request would begin, nobody knows: the connection is closed."""
    assert talk(broken, request(RESET)) == [{"error": error, "arrays": {}}]


@given(junk=st.binary(max_size=400))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes(talk: Talk, junk: bytes) -> None:
    assert all("error" in answer for answer in talk(junk))


@given(
    header=st.binary(max_size=60) | st.sampled_from([json.dumps(RESET).encode(), b'{"do": "act"}']),
    body=st.binary(max_size=60),
    sizes=st.tuples(*[st.integers(0, 100) | st.integers(0, 2**32 - 1)] * 2),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wrong_sizes(talk: Talk, header: bytes, body: bytes, sizes: tuple[int, int]) -> None:
    talk(SIZES.pack(*sizes) + header + body)


@given(at=st.integers(0, 10**4))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_off_anywhere(talk: Talk, at: int) -> None:
    whole = request(RESET) + request({"do": "act", "arrays": WIDE}, BODY)
    end = at % (len(whole) + 1)
    assert len(talk(whole[:end])) == (end >= len(request(RESET))) + (end == len(whole))


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_anywhere(talk: Talk, data: st.DataObject) -> None:
    whole = bytearray(request(RESET) + request({"do": "act", "arrays": WIDE}, BODY))
    for place in data.draw(st.lists(st.integers(0, len(request(RESET)) + 150), min_size=1, max_size=3)):
        whole[place] = data.draw(st.integers(0, 255))
    talk(bytes(whole))


@pytest.mark.parametrize(
    "half", [b"\0\0", request(RESET)[:-1], request(b"{}", size=100)], ids=["sizes", "header", "body"]
)
def test_half_a_message_is_waited_for_only_so_long(served: Any, serve: Serve, half: bytes) -> None:
    """Meanwhile, and afterwards, others are served."""
    with serve(served.policy, slots=2, patience=0.3) as impatient, impatient.client() as client:
        client.reset("wide", kind="one_hot")
        with socket.create_connection((impatient.host, impatient.port)) as raw, raw.makefile("rb") as answers:
            read(answers)
            raw.sendall(half)
            expected = client.act(served.see("wide"))
            answer = read(answers)
        assert answer == {"error": "message: expected all of it within 0.3 seconds of its beginning", "arrays": {}}
        client.reset("wide", kind="one_hot")
        assert np.array_equal(client.act(served.see("wide")), expected)


def test_who_takes_no_answers_is_left(served: Any, serve: Serve) -> None:
    """One that sends nonsense again and again, and never reads what is said of it."""
    nonsense = request({"do": "act", **{letter * 190: 0 for letter in "abc"}}) * 10
    with serve(served.policy, slots=2, patience=0.3) as impatient, impatient.client() as client:
        client.reset("wide", kind="one_hot")
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
            raw.connect((impatient.host, impatient.port))

            def go_on() -> None:
                while True:
                    raw.sendall(nonsense)

            with pytest.raises(OSError, match=r"reset|Broken pipe"):
                go_on()
        client.act(served.see("wide"))


def test_actions_that_are_no_numbers_are_not_sent(served: Any, good: Client) -> None:
    observation = served.see("wide")
    with served.client() as client:
        client.reset("wide", kind="one_hot")
        for key in ("act", "chunk"):
            with pytest.raises(RuntimeError, match="actions: the policy gives NaN or infinity for what it was shown"):
                getattr(client, key)(observation | {"proprio": np.full(3, 3e38)})
        client.reset("wide", kind="one_hot")
        assert np.isfinite(client.act(observation)).all()
