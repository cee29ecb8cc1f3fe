"""Damage to bytes, whatever they mean."""

import numpy as np

_PATTERNS = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\xff" * 8)


def damaged(content: bytes, rng: np.random.Generator) -> tuple[bytes, str, list[range]]:
    """Bytes as a bad disk, a bad copy or a bad program leaves them.

    Returns:
        The bytes, what was done in words, and where.
    """
    parts: list[str] = []
    places: list[range] = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 8]))):
        if not content:
            break
        content, words, place = _once(content, rng)
        parts.append(words)
        places.append(place)
    return content, ", ".join(parts), places


def _once(content: bytes, rng: np.random.Generator) -> tuple[bytes, str, range]:
    at = int(rng.integers(len(content)))
    size = int(min(2 ** rng.integers(0, 10), len(content) - at))
    end = at + size
    match int(rng.integers(8)):
        case 0 | 1:
            flipped = content[at] ^ (1 << int(rng.integers(8)))
            return content[:at] + bytes([flipped]) + content[at + 1 :], f"a bit at {at}", range(at, at + 1)
        case 2:
            some = rng.bytes(min(size, 8))
            return _put(content, at, some), f"{len(some)} bytes at {at}", range(at, at + len(some))
        case 3:
            some = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
            return _put(content, at, some), f"{some.hex()} at {at}", range(at, at + len(some))
        case 4:
            return content[:at], f"cut at {at}", range(at, len(content))
        case 5:
            return _put(content, at, bytes(size)), f"{size} zeros at {at}", range(at, end)
        case 6:
            other = int(rng.integers(len(content) - size + 1))
            some = content[other : other + size]
            return _put(content, at, some), f"{size} bytes of {other} at {at}", range(at, end)
        case _:
            repeated = content[:end] + content[at:end] + content[end:]
            return repeated, f"{size} bytes at {at} twice", range(at, len(repeated))


def _put(content: bytes, at: int, some: bytes) -> bytes:
    return content[:at] + some[: len(content) - at] + content[at + len(some) :]
