"""One demonstration's group in an HDF5 file: its arrays, and what is wrong with them.

Legend: T time steps, A action dimensions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, TypeVar

import h5py
import numpy as np
from jaxtyping import Shaped

from mtil.data.defects import ACTIONS, Extent, Findings, explain, layout_defect, outliers, value_defect
from mtil.types import FeatureSpec

_SIGNALS = ("rewards", "dones")


@dataclass(frozen=True)
class Demo:
    """What a demonstration's group holds.

    Attributes:
        steps: Its length.
        keys: Its observation keys, sound or not; None if it has no observations at all.
        features: What is sound of its observations and actions.
        decoded: By key of images that cannot be mapped as they are stored, the bytes that they take once decoded.
        extent: How far its actions reach.
    """

    steps: int = 0
    keys: frozenset[str] | None = None
    features: Mapping[str, FeatureSpec] = field(default_factory=dict)
    decoded: Mapping[str, int] = field(default_factory=dict)
    extent: Extent = field(default_factory=Extent)


def check_demo(group: h5py.Group, findings: Findings, *, decompress_images: bool) -> Demo:
    """Walk through a demonstration's group.

    Args:
        group: The group.
        findings: Receives what is found.
        decompress_images: Whether to read images that cannot be mapped, which finds damage within them.
    """
    arrays, keys = _arrays(group, findings)
    sound = {key: array for key, array in arrays.items() if _well_formed(key, array, findings)}
    steps = _steps(group, sound, findings)
    features = {key: feature(key, array) for key, array in sound.items() if key not in _SIGNALS}
    decoded: dict[str, int] = {}
    actions = np.zeros((0, 1), np.float32)
    for key, array in sound.items():
        with findings.guard(key):
            _note_storage(key, array, findings)
            if array.ndim == 4 and offset_in_file(array) is None:
                decoded[key] = array.nbytes
            if array.ndim == 4 and not (decompress_images and offset_in_file(array) is None):
                continue
            values = read_array(array)
            if defect := value_defect(values):
                findings.add(defect, key)
            elif key == ACTIONS:
                actions = values
    return Demo(
        steps=steps,
        keys=keys,
        features=features,
        decoded=decoded,
        extent=Extent.of(actions),
    )


def feature(key: str, array: h5py.Dataset) -> FeatureSpec:
    """What a well-formed array of observations or actions holds at one time step."""
    kind = "action" if key == ACTIONS else "image" if array.ndim == 4 else "state"
    return FeatureSpec(key=key, shape=array.shape[1:], dtype=str(array.dtype), kind=kind)


def read_array(array: h5py.Dataset) -> Shaped[np.ndarray, "T ..."]:
    """An array as it is trained on: images as stored, all else float32 (what that cannot hold becomes infinite)."""
    if array.ndim == 4:
        return array[()]
    with np.errstate(over="ignore"):
        return array[()].astype(np.float32, copy=False)


def offset_in_file(array: h5py.Dataset) -> int | None:
    """Where the bytes of an array begin in its file; None if they do not lie there in one piece, as they are."""
    if array.chunks or array.external or not array.size:  # of an external one, HDF5 tells an offset that is none
        return None
    return array.id.get_offset()


C = TypeVar("C", h5py.Group, h5py.Dataset)


def member(parent: h5py.Group, name: str, kind: type[C], findings: Findings) -> C | None:
    """A group or array below another one; None, with a defect found, if there is none.

    Args:
        parent: Where to look.
        name: What to look for.
        kind: `h5py.Group` or `h5py.Dataset`.
        findings: Receives the defect, its key being `name`.
    """
    words = {h5py.Group: "a group", h5py.Dataset: "an array"}
    with findings.guard(name):
        try:
            found = parent[name]
        except KeyError as error:
            findings.add(f"expected {words[kind]}, {_absence(parent, name, error)}", name)
            return None
        if isinstance(found, kind):
            return found
        findings.add(f"expected {words[kind]}, found {words.get(type(found), 'a type')}", name)
    return None


def _absence(parent: h5py.Group, name: str, error: KeyError) -> str:
    match parent.get(name, getlink=True):
        case None:
            return "missing"
        case h5py.SoftLink() | h5py.ExternalLink():
            return "found a link that leads nowhere"
        case _:
            return f"found damage: {explain(error)}"


def _arrays(group: h5py.Group, findings: Findings) -> tuple[dict[str, h5py.Dataset], frozenset[str] | None]:
    """Actions, rewards, dones and observations, as far as they are there; and the keys of the observations."""
    found = {key: member(group, key, h5py.Dataset, findings) for key in (ACTIONS, *_SIGNALS)}
    observations = member(group, "obs", h5py.Group, findings)
    keys = sorted(observations.keys()) if observations is not None else []
    if observations is not None and not keys:
        findings.add("holds no observations", "obs")
    for key in keys:
        if key in found:
            findings.add("an observation cannot bear this name, which means something else", key)
        elif observations is not None:
            found[key] = member(observations, key, h5py.Dataset, findings)
    return {key: array for key, array in found.items() if array is not None}, frozenset(keys) - {
        ACTIONS,
        *_SIGNALS,
    } or None


def _well_formed(key: str, array: h5py.Dataset, findings: Findings) -> bool:
    with findings.guard(key):
        defect = _form_defect(key, array) or _storage_defect(array)
        if defect:
            findings.add(defect, key)
        return not defect
    return False


def _form_defect(key: str, array: h5py.Dataset) -> str | None:
    if array.shape is None:
        return "expected numbers, found an array without a shape"
    if key not in _SIGNALS:
        return layout_defect(key, array.shape, array.dtype)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        return f"expected numbers of shape (T,), found {array.dtype} {array.shape}"
    return None


def _storage_defect(array: h5py.Dataset) -> str | None:
    """Values that are nowhere, in whose place HDF5 hands out zeros, as many as are claimed."""
    if array.is_virtual:
        return "expected values, found a virtual array, which reads as zeros where the files behind it are missing"
    if array.size and not array.chunks and not array.id.get_storage_size():
        return "expected values, found an array that was never written"
    if array.chunks:
        pairs = zip(array.shape, array.chunks, strict=True)
        expected, found = math.prod(-(-length // chunk) for length, chunk in pairs), array.id.get_num_chunks()
        if found != expected:
            return f"expected {expected} chunks of values, found {found}: the others were never written"
    return None


def _steps(group: h5py.Group, arrays: Mapping[str, h5py.Dataset], findings: Findings) -> int:
    """How many steps most arrays have; finds those that disagree, and a `num_samples` that does."""
    claimed = _num_samples(group, findings)
    if not arrays:
        return claimed or 0
    lengths = {key: len(array) for key, array in arrays.items()}
    steps, odd = outliers(lengths)
    for key in odd:
        findings.add(f"expected {steps} steps as the other arrays have, found {lengths[key]}", key)
    if claimed is not None and claimed != steps:
        findings.add(f"expected {steps}, the length of the arrays, found {claimed}", "num_samples")
    if not steps:
        findings.add("has no steps")
    return steps


def _num_samples(group: h5py.Group, findings: Findings) -> int | None:
    with findings.guard("num_samples"):
        value: Any = group.attrs.get("num_samples")
        if isinstance(value, Integral):
            return int(value)
        found = "missing" if value is None else f"found {str(value)[:40]!r}"
        findings.add(f"expected an attribute with the number of steps, {found}", "num_samples")
    return None


def _note_storage(key: str, array: h5py.Dataset, findings: Findings) -> None:
    if array.dtype == np.float64 and key not in _SIGNALS:
        findings.note("stored as float64, read as float32", key)
    if array.compression and array.ndim < 4:
        findings.note(f"compressed ({array.compression}): contiguous arrays are read many times faster", key)
