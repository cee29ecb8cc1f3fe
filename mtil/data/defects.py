"""What makes demonstrations on disk unfit for training: the rules that `mtil inspect` lists and that opening enforces.

Legend: T time steps, D state dimensions, A action dimensions, H x W pixels.
"""

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Shaped

from mtil.errors import DatasetError, MtilError
from mtil.types import first_not_finite

ACTIONS = "actions"
"""The action's key, beside those of the observations."""

_LAYOUT = "expected numbers of shape (T, D) for a state or uint8 of shape (T, H, W, 3) for an image"


@dataclass(frozen=True)
class Defect:
    """One reason why a dataset cannot be trained on.

    Attributes:
        file: Path of the file.
        demo: Name of the demonstration, e.g. `"demo_3"`; None if it concerns the whole file.
        key: Observation key, `"actions"`, or the attribute or group concerned; None if it is the file or demo itself.
        message: What was expected and what was found.
    """

    file: str
    demo: str | None
    key: str | None
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.demo, self.key, self.message) if part)


@dataclass(frozen=True)
class Note:
    """A fact about a file that is worth telling, but no defect.

    Attributes:
        file: Path of the file.
        key: What it is about, as in `Defect`.
        message: The fact.
    """

    file: str
    key: str
    message: str


@dataclass(frozen=True)
class Extent:
    """How far actions reach.

    Attributes:
        outside: How many values lie outside [-1, 1]; they are data, no defect.
        total: How many values there are.
        extreme: The value farthest from 0.
    """

    outside: int = 0
    total: int = 0
    extreme: float = 0.0

    @staticmethod
    def of(actions: Float[np.ndarray, "T A"]) -> "Extent":
        """That of some actions."""
        farthest = float(actions.flat[np.abs(actions).argmax()]) if actions.size else 0.0
        return Extent(int((np.abs(actions) > 1).sum()), actions.size, farthest)

    def __add__(self, other: "Extent") -> "Extent":
        farthest = max(self.extreme, other.extreme, key=abs)
        return Extent(self.outside + other.outside, self.total + other.total, farthest)

    def note(self, findings: "Findings") -> None:
        """Tell of values outside, if there are any."""
        if self.outside:
            where = f"lie outside [-1, 1], the farthest at {self.extreme:g}"
            findings.note(f"{self.outside} of {self.total} values {where}", ACTIONS)


@dataclass(frozen=True)
class Findings:
    """Collects what is found in one file, in the order in which it is met; a note is kept once."""

    file: str
    demo: str | None = None
    defects: list[Defect] = field(default_factory=list)
    notes: dict[Note, None] = field(default_factory=dict)

    def of(self, demo: str) -> "Findings":
        """The same collection, for what is found in one demonstration."""
        return replace(self, demo=demo)

    def add(self, message: str, key: str | None = None) -> None:
        self.defects.append(Defect(self.file, self.demo, key, message))

    def note(self, message: str, key: str) -> None:
        self.notes[Note(self.file, key, message)] = None

    @contextmanager
    def guard(self, key: str | None = None) -> Iterator[None]:
        """Turns whatever goes wrong inside into a defect; the rest of the block is skipped."""
        try:
            yield
        # Damaged bytes make h5py raise nearly anything: OSError, KeyError, RuntimeError, TypeError, MemoryError...
        except Exception as error:
            self.add(explain(error), key)


def note_decoded(key: str, size: int, findings: Findings, *, how: str) -> None:
    """Tell of images that cannot be mapped as they are stored.

    Args:
        key: Of the images.
        size: Bytes that they take once decoded.
        findings: Receives the note.
        how: They are stored.
    """
    once = f"training on them decodes {size / 1e6:,.1f} MB into the cache, once (data.decoding=on_the_fly: none)"
    findings.note(f"{how}: {once}", key)


def explain(error: Exception) -> str:
    """One line for an exception raised while reading a file, which any terminal and file takes."""
    return _explained(error).encode(errors="backslashreplace").decode()  # JSON may hold halves of characters


def _explained(error: Exception) -> str:
    if isinstance(error, DatasetError):
        return str(error)
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if "file signature not found" in text:
        return "not an HDF5 file"
    if "truncated file" in text:
        return "truncated: shorter than its header says (copied or written only in part)"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {os.strerror(error.errno)}"
    return f"cannot be read: {' '.join(text.split())[:200] or type(error).__name__}"


@contextmanager
def reading(path: Path, name: str = "") -> Iterator[None]:
    """Turns what a library raises while it reads a file, or what bears this name in it, into a DatasetError."""
    try:
        yield
    except MtilError:
        raise
    except Exception as error:  # nearly anything, as above
        raise DatasetError(": ".join(filter(None, (str(path), name, explain(error))))) from None


def layout_defect(key: str, shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    """What is wrong with the shape or type of an array of observations or actions, if anything.

    Args:
        key: Observation key, or `ACTIONS`.
        shape: With the time axis first.
        dtype: As stored.
    """
    if key == ACTIONS and (dtype.kind != "f" or len(shape) != 2):
        return f"expected floating point numbers of shape (T, A), found {dtype} {shape}"
    if dtype.kind not in "biuf" or len(shape) not in (2, 4):
        hint = "; one number per step has shape (T, 1)" if len(shape) == 1 else ""
        hint = "; a grey image needs three channels" if len(shape) == 3 else hint
        return f"{_LAYOUT}, found {dtype} {shape}{hint}"
    if 0 in shape[1:]:
        return f"expected at least one value per step, found shape {shape}"
    if len(shape) == 4 and (dtype != np.uint8 or shape[3] != 3):
        return f"expected an image as uint8 of shape (T, H, W, 3), found {dtype} {shape}{_image_hint(shape)}"
    return None


def _image_hint(shape: tuple[int, ...]) -> str:
    if shape[3] == 3:
        return "; scale to 0..255"
    if shape[1] == 3:
        return "; channels stand first: move them last"
    return "; a grey image needs three channels" if shape[3] == 1 else ""


def value_defect(array: Shaped[np.ndarray, "T ..."]) -> str | None:
    """The first time step at which an array is NaN or infinite, if there is one."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return None
    return f"step {first_not_finite(array)} is NaN, infinite or beyond float32"


V = TypeVar("V", bound=Hashable)


def outliers(values: Mapping[str, V], same: Callable[[V], Hashable] = lambda value: value) -> tuple[V, list[str]]:
    """The commonest of some values that ought to agree, and the names of those that differ from it.

    Args:
        values: By name; not empty. Of equally common ones the first counts as the rule.
        same: What has to agree about two values.
    """
    counts = Counter(same(value) for value in values.values())
    usual = counts.most_common(1)[0][0]
    rule = next(value for value in values.values() if same(value) == usual)
    return rule, [name for name, value in values.items() if same(value) != usual]
