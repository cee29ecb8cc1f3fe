"""A client's messages, read and answered one after the other."""

import asyncio
import contextlib

from mtil.errors import MtilError, ServingError
from mtil.serving.client import SIZES
from mtil.serving.protocol import LARGEST_HEADER, Request, check_arrays, message, read_arrays, read_request
from mtil.serving.session import Session

PATIENCE = 10.0  # seconds, for what is left of a message that has begun, and for an answer to be taken
_PIECE = 2**16


class _LostError(ServingError):
    """Nobody knows where the next message begins."""


class Connection:
    """A client at the other end of a socket.

    What is wrong with a request is answered, and the next one read; only where nobody knows where that begins, the
    answer is the last.

    Args:
        reader: From the client.
        writer: To the client.
        session: What its requests do.
        largest_body: Bytes of arrays that a request may announce.
        patience: Seconds that the client may keep a message waiting.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: Session,
        *,
        largest_body: int,
        patience: float = PATIENCE,
    ) -> None:
        self._reader, self._writer, self._session = reader, writer, session
        self._largest, self._patience = (LARGEST_HEADER, largest_body), patience

    async def serve(self) -> None:
        """Answer until the client goes.

        Raises:
            OSError: It takes no answer.
            EOFError: It went in the middle of a message.
        """
        while start := await self._reader.read(SIZES.size):  # which may take any time to come
            try:
                request, body = await self._rest(start)
                answer = await self._session.answer(request, read_arrays(body, request.arrays))
            except _LostError as error:
                await self._part(error)
                break
            except MtilError as error:
                answer = _refusal(error)
            await self._send(answer)

    async def _rest(self, start: bytes) -> tuple[Request, bytes]:
        """A message that has begun: its request, and the bytes of its arrays."""
        try:
            async with asyncio.timeout(self._patience):
                sizes = SIZES.unpack(start + await self._reader.readexactly(SIZES.size - len(start)))
                for part, size, largest in zip(("header", "arrays"), sizes, self._largest, strict=True):
                    if size > largest:
                        raise _LostError(f"{part}: expected {largest} bytes at most, found {size}")
                request = await self._request(*sizes)
                return request, await self._reader.readexactly(sizes[1])
        except TimeoutError:
            raise _LostError(
                f"message: expected all of it within {self._patience:g} seconds of its beginning"
            ) from None

    async def _request(self, header: int, body: int) -> Request:
        """What a header of so many bytes asks for; where that is nothing, the arrays after it are passed over."""
        told = await self._reader.readexactly(header)
        try:
            request = read_request(told)
            check_arrays(request.arrays, self._session.expected(request), size=body)
        except MtilError:
            while body:
                body -= len(await self._reader.readexactly(min(body, _PIECE)))
            raise
        return request

    async def _send(self, answer: bytes) -> None:
        self._writer.write(answer)
        async with asyncio.timeout(self._patience):
            await self._writer.drain()

    async def _part(self, error: _LostError) -> None:
        """Say what was wrong, and let the client finish its sentence: it reads no answer before it has sent all."""
        await self._send(_refusal(error))
        self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while await self._reader.read(_PIECE):
                    pass


def _refusal(error: MtilError) -> bytes:
    return message({"error": str(error)})
