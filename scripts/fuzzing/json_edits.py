"""Changes to what a JSON document says."""

import copy
import json
from typing import Any

import numpy as np

_STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    2,
    1e-300,
    0.5,
    float("nan"),
    float("inf"),
    -1e308,
    2**31,
    2**63,
    -(2**63),
    10**400,
    "",
    " ",
    "a\nb",
    "../../../etc/passwd",
    "/etc/passwd",
    "\ud800",
    "\x00",
    "{chunk_index!r}",
    "x" * 100_000,
    [],
    {},
    [[]],
    [None, 1, "a"],
    {"": None},
    "float32",
    "video",
    "image",
)


def edited(document: Any, rng: np.random.Generator) -> tuple[str, str]:
    """A document with one to three changes, as text; and what was done, in words."""
    root, words = [copy.deepcopy(document)], []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        places = list(_places(root))
        holder, key = places[int(rng.integers(len(places)))]
        words.append(_change(holder, key, [inner[k] for inner, k in places], rng))
    text = json.dumps(root[0])
    if rng.random() < 0.02:
        depth = int(rng.choice([100, 1_000, 100_000]))
        return text[:-1] + ', "deep": ' + "[" * depth + "]" * depth + text[-1], f"nested {depth} deep"
    return text, ", ".join(words)


def _places(holder: Any) -> list[tuple[Any, Any]]:
    """Everything in a document: what holds it, and its key there."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found.append((holder, key))
        if isinstance(holder[key], dict | list):
            found += _places(holder[key])
    return found


def _change(holder: Any, key: Any, others: list[Any], rng: np.random.Generator) -> str:
    old = holder[key]
    match int(rng.integers(8)):
        case 0 if isinstance(holder, dict):
            del holder[key]
            return f"without {key!r}"
        case 1 if isinstance(holder, dict):
            holder[f"{key}{int(rng.integers(9))}"] = holder.pop(key)
            return f"{key!r} renamed"
        case 2 if isinstance(old, list) and old:
            at = int(rng.integers(len(old)))
            old.insert(at, copy.deepcopy(old[at]))
            return f"{key!r}[{at}] twice"
        case 3 if isinstance(old, list) and len(old) > 1:
            at = int(rng.integers(len(old)))
            old[at], old[at - 1] = old[at - 1], old[at]
            return f"{key!r}[{at}] swapped"
        case 4:
            holder[key] = [old]
            return f"{key!r} in a list"
        case 5 if isinstance(old, int | float):
            holder[key] = old + int(rng.choice([-1, 1]))
            return f"{key!r} = {holder[key]}"
        case 6:
            holder[key] = copy.deepcopy(others[int(rng.integers(len(others)))])
            return f"{key!r} = another part"
        case _:
            holder[key] = copy.deepcopy(_STRANGE[int(rng.integers(len(_STRANGE)))])
            return f"{key!r} = {str(holder[key])[:20]!r}"
