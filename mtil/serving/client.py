"""What asks a served policy for actions. It needs NumPy alone: import it, or copy this file to where the robot is.

Legend: A action dimensions, K chunk, d delay.
"""

import json
import socket
import struct
from typing import Any

import numpy as np

VERSION = 1  # of the protocol; to be raised when clients and servers of an earlier one no longer understand it
SIZES = struct.Struct("<II")  # what a message begins with: bytes of its header, bytes of its arrays


class Client:
    """A slot of its own on the server, for one episode after another. What the server refuses is a RuntimeError."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        try:
            self.policy = self._receive()
            if self.policy["version"] != VERSION:
                raise RuntimeError(f"expected a server of version {VERSION}, found {self.policy['version']}")
        except BaseException:  # as where no slot is left
            self.close()
            raise

    def reset(
        self, task: str | None = None, *, kind: str | None = None, words: str | None = None, **shown: Any
    ) -> None:
        """Begin an episode: of a task by its name, told in words, shown an array (`goal=`, `video=`)."""
        asked = {"do": "reset", "task": task, "kind": kind, "words": words}
        self.episode = self._ask(asked, shown, self.policy["shown"])

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """The action (A,) to take now, as an evaluation would take it."""
        return self._ask({"do": "act"}, observation, self.episode["observations"])["actions"]

    def chunk(self, observation: dict[str, Any], *, delay: int = 0) -> np.ndarray:
        """Actions (K - d, A), the first for d control steps after the observation."""
        return self._ask({"do": "chunk", "delay": delay}, observation, self.episode["observations"])["actions"]

    def observe(self, observation: dict[str, Any]) -> None:
        """Show a step at which nothing is asked for: a policy with a history wants them all."""
        self._ask({"do": "observe"}, observation, self.episode["observations"])

    def close(self) -> None:
        """Give the slot back."""
        self._file.close()
        self._socket.close()

    def _ask(self, request: dict[str, Any], values: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
        keys = [key for key in types if key in values]  # an environment may show more than the policy sees
        arrays = {key: np.asarray(values[key]).astype(types[key]["dtype"], casting="same_kind") for key in keys}
        described = {key: {"dtype": array.dtype.str, "shape": array.shape} for key, array in arrays.items()}
        header = json.dumps({**request, "arrays": described}).encode()
        body = b"".join(array.tobytes() for array in arrays.values())
        self._socket.sendall(SIZES.pack(len(header), len(body)) + header + body)
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        header, body = (self._read(size) for size in SIZES.unpack(self._read(SIZES.size)))
        answer, start = json.loads(header), 0
        if "error" in answer:
            raise RuntimeError(answer["error"])
        for key, each in answer.pop("arrays").items():
            array = np.frombuffer(body, each["dtype"], int(np.prod(each["shape"])), start).reshape(each["shape"])
            answer[key], start = array.copy(), start + array.nbytes
        return answer

    def _read(self, size: int) -> bytes:
        found = self._file.read(size)
        if len(found) < size:
            raise ConnectionError("the server has closed the connection")
        return found
