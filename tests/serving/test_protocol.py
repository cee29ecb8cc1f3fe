"""Messages: what goes in comes out, and nothing else is let in."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mtil.errors import ServingError
from mtil.serving.client import SIZES
from mtil.serving.protocol import (
    Act,
    ArrayType,
    Chunk,
    Reset,
    array_type,
    check_arrays,
    described,
    message,
    read_arrays,
    read_request,
)

TYPES = {"proprio": array_type("float32", (3,)), "image": array_type("uint8", (4, 4, 3))}
SIZE = 3 * 4 + 4 * 4 * 3
some_arrays = st.dictionaries(
    st.text(max_size=8),
    st.sampled_from(["<f4", "<f8", "|u1", "<i4"]).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if "f" in dtype else None,
        )
    ),
    max_size=3,
)


@given(values=some_arrays)
@settings(max_examples=30)
def test_arrays_arrive_as_they_were(values: dict[str, np.ndarray]) -> None:
    sent = message({"do": "act"}, values)
    header, body = SIZES.unpack(sent[: SIZES.size])
    request = read_request(sent[SIZES.size : SIZES.size + header])
    assert len(sent) == SIZES.size + header + body
    expected = {key: ArrayType.of(value) for key, value in values.items()}
    check_arrays(request.arrays, expected, size=body)
    found = read_arrays(sent[SIZES.size + header :], request.arrays)
    assert list(found) == list(values)
    for key, value in values.items():
        np.testing.assert_array_equal(found[key], value, strict=True)


def test_arrays_are_little_endian_whatever_the_machine_is() -> None:
    sent = message({}, {"a": np.arange(3, dtype=">i4")})
    assert sent.endswith(np.arange(3, dtype="<i4").tobytes())
    assert b'"<i4"' in sent


def test_requests() -> None:
    told = {"proprio": {"dtype": "<f4", "shape": [3]}}
    assert read_request(json.dumps({"do": "act", "arrays": told}).encode()) == Act(
        do="act", arrays={"proprio": TYPES["proprio"]}
    )
    assert read_request(b'{"do": "chunk", "delay": 2}') == Chunk(do="chunk", delay=2)
    assert read_request(b'{"do": "reset", "words": "go"}') == Reset(do="reset", words="go")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "request: header: Invalid JSON: EOF while parsing"),
        (b"\xff\xfe", "request: header: Invalid JSON"),
        (b"[" * 2**14, "request: header: Invalid JSON: recursion limit exceeded"),
        (b"3", "request: header: Input should be"),
        (b"{}", "request: header: Unable to extract tag using discriminator 'do'"),
        (b'{"do": "fly"}', "Input tag 'fly' .* expected tags: 'reset', 'act', 'chunk', 'observe'"),
        (b'{"do": "act", "delay": 1}', r"request: act\.delay: Extra inputs are not permitted"),
        (b'{"do": "chunk", "delay": 1.5}', r"request: chunk\.delay: Input should be a valid integer"),
        (b'{"do": "chunk", "delay": "1"}', r"request: chunk\.delay: Input should be a valid integer"),
        (b'{"do": "chunk", "delay": ' + b"9" * 9000 + b"}", "request: header: Invalid JSON: number out of range"),
        (b'{"do": "reset", "task": 3}', r"request: reset\.task: Input should be a valid string"),
        (b'{"do": "reset", "words": "' + b"x" * 2000 + b'"}', "String should have at most 1000 characters"),
        (b'{"do": "act", "arrays": {"a": {"dtype": "<f4"}}}', r"request: act\.arrays\.a\.shape: Field required"),
        (b'{"do": "act", "arrays": {"a": {"dtype": "<f4", "shape": [1e9]}}}', "Input should be a valid integer"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_headers_that_are_no_requests(header: bytes, message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        read_request(header)
    assert len(str(caught.value)) < 1000


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3)
    | st.dictionaries(st.sampled_from(["do", "task", "delay", "arrays", "dtype", "shape", "act"]), part, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_header_is_a_request_or_refused(header: bytes) -> None:
    with contextlib.suppress(ServingError):
        assert read_request(header).do in ("reset", "act", "chunk", "observe")


@pytest.mark.parametrize(
    ("change", "size", "message"),
    [
        ({}, SIZE - 1, "arrays: expected 60 bytes, as they are described, found 59"),
        ({}, 2**31, "arrays: expected 60 bytes, as they are described, found 2147483648"),
        ({"proprio": None}, SIZE - 12, r"arrays: expected 'proprio' \(<f4 \[3\]\), found image"),
        ({"propio": TYPES["proprio"]}, SIZE, "arrays: unknown key 'propio'; did you mean 'proprio'"),
        ({"proprio": array_type("float64", (3,))}, SIZE, r"proprio: expected <f4 \[3\], found <f8 \[3\]"),
        ({"proprio": ArrayType(dtype="O", shape=(3,))}, SIZE, r"proprio: expected <f4 \[3\], found O \[3\]"),
        ({"image": array_type("uint8", (4, 3, 4))}, SIZE, r"image: expected \|u1 \[4, 4, 3\], found \|u1 \[4, 3, 4\]"),
        ({"image": array_type("uint8", (-4, -4, 3))}, SIZE, r"image: .* found \|u1 \[-4, -4, 3\]"),
        ({"image": array_type("uint8", (10**9,) * 3)}, SIZE, "image: expected .* found .*1000000000"),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, Any], size: int, message: str) -> None:
    found = {key: each for key, each in (TYPES | change).items() if each is not None}
    with pytest.raises(ServingError, match=message):
        check_arrays(found, TYPES, size=size)


def test_the_order_of_arrays_is_the_senders() -> None:
    turned = dict(reversed(TYPES.items()))
    check_arrays(turned, TYPES, size=SIZE)
    body = bytes(range(48)) + np.array([1, 2, 3], "<f4").tobytes()
    assert read_arrays(body, turned)["proprio"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(value: float) -> None:
    body = np.array([0, value, 2], "<f4").tobytes()
    with pytest.raises(ServingError, match=r"proprio: entry \[1\] is NaN or infinite"):
        read_arrays(body, {"proprio": TYPES["proprio"]})


def test_types_are_told_as_json() -> None:
    assert json.loads(json.dumps(described(TYPES))) == {
        "proprio": {"dtype": "<f4", "shape": [3]},
        "image": {"dtype": "|u1", "shape": [4, 4, 3]},
    }
