"""One episode's group in a Minari dataset: its arrays, by the keys that observations have here, and what is wrong.

An episode of T steps holds T + 1 observations, of which the last is not acted on, and is not read.

Legend: T time steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import h5py
import numpy as np
from jaxtyping import Shaped

from mtil.data.defects import ACTIONS, Findings, layout_defect, value_defect
from mtil.data.hdf5.demo import feature, member, read_array
from mtil.data.minari.jpeg import decode_rows, encoded_feature, is_encoded
from mtil.types import FeatureSpec

SIGNALS = ("rewards", "terminations", "truncations")
WHOLE = "observation"
"""The key of observations that are one array, not a dictionary of several."""


@dataclass(frozen=True)
class Recorded:
    """What an episode's group holds.

    Attributes:
        steps: Its length.
        features: What is sound of its observations and actions.
    """

    steps: int = 0
    features: dict[str, FeatureSpec] = field(default_factory=dict)


def check_episode(group: h5py.Group, findings: Findings, *, thorough: bool = False) -> Recorded:
    """Walk through an episode's group.

    Args:
        group: The group.
        findings: Receives what is found.
        thorough: Whether to decode images.
    """
    arrays = {key: member(group, key, h5py.Dataset, findings) for key in (ACTIONS, *SIGNALS)}
    actions = arrays[ACTIONS]
    if actions is None or not actions.shape:
        return Recorded()
    steps = len(actions)
    if not steps:
        findings.add("has no steps")
    for key in SIGNALS:
        array = arrays[key]
        if array is not None and (array.shape != (steps,) or array.dtype.kind not in "biuf"):
            findings.add(f"expected numbers of shape ({steps},), found {array.dtype} {array.shape}", key)
    features = {}
    for key, array in (*observations(group, findings), (ACTIONS, actions)):
        with findings.guard(key):
            if _is_sound(key, array, steps, findings):
                features[key] = encoded_feature(key, array) if is_encoded(array) else feature(key, array)
                if thorough and is_encoded(array):
                    decode_rows(array[:steps], features[key].shape, where=str(array.name))
    return Recorded(steps, features)


def observations(group: h5py.Group, findings: Findings) -> Iterator[tuple[str, h5py.Dataset]]:
    """Arrays of observations that can be read, by key; notes tell of the others."""
    found = group.get("observations")
    if found is None:
        findings.add("expected a group or an array, found none", "observations")
    for key, array in _leaves(found, ""):
        if is_encoded(array):
            yield key, array
        elif len(array.shape) == 1:
            findings.note("not read: one number or word a step, of shape (T,)", key)
        else:
            yield key, array


def read_rows(array: h5py.Dataset, steps: int) -> Shaped[np.ndarray, "T ..."]:
    """An array's first steps, as they are trained on."""
    return read_array(array)[:steps]


def _leaves(found: object, name: str) -> Iterator[tuple[str, h5py.Dataset]]:
    if isinstance(found, h5py.Dataset):
        yield name or WHOLE, found
    elif isinstance(found, h5py.Group):
        for key in map(str, found):
            yield from _leaves(found[key], f"{name}_{key}" if name else key)


def _is_sound(key: str, array: h5py.Dataset, steps: int, findings: Findings) -> bool:
    expected = steps if key == ACTIONS else steps + 1
    encoded = is_encoded(array)
    if not encoded and (defect := layout_defect(key, array.shape, array.dtype)):
        findings.add(defect, key)
    elif len(array) != expected:
        findings.add(f"expected {expected} rows, found {len(array)}", key)
    elif encoded or array.ndim == 4 or not (defect := value_defect(read_rows(array, steps))):
        return True
    else:
        findings.add(defect, key)
    return False
