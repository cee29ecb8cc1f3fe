"""What LeRobot's columns and cameras are among the observations, and the other way round.

`observation.images.top` is the image `top`, `observation.state` the state `state`, `action` the action. Dots within
what is left become underscores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mtil.data.defects import ACTIONS, Findings
from mtil.data.lerobot.info import Feature
from mtil.types import FeatureSpec

ACTION = "action"
REWARD = "next.reward"
DONE = "next.done"
INDICES = ("episode_index", "frame_index", "index", "task_index")
TIMESTAMP = "timestamp"

_OBSERVATION = "observation."
_IMAGE = "observation.images."
_CHANNELS = ("channel", "channels")


@dataclass(frozen=True)
class Columns:
    """Where everything that is read is found.

    Attributes:
        specs: Observations by key, and the action under `ACTIONS`.
        states: Columns of states and of the action, by key.
        pictures: Columns of images, by key.
        films: Keys of cameras whose frames are in videos, by key.
        signals: Which of `REWARD` and `DONE` there are.
    """

    specs: dict[str, FeatureSpec] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    films: dict[str, str] = field(default_factory=dict)
    signals: tuple[str, ...] = ()


def columns_of(features: Mapping[str, Feature], findings: Findings) -> Columns:
    """Sort out what is read, and what is not: of the latter notes tell."""
    found = Columns(signals=tuple(name for name in (REWARD, DONE) if _is_signal(features.get(name))))
    for name, feature in features.items():
        key = key_of(name)
        if name in (*INDICES, TIMESTAMP, *found.signals):
            continue
        if name in (REWARD, DONE):
            findings.add(f"expected one number a step, found {feature.dtype} {feature.shape}", name)
            continue
        if name != ACTION and not name.startswith(_OBSERVATION) and feature.dtype not in ("image", "video"):
            findings.note(f"not read: no observation ({feature.dtype} {feature.shape})", name)
        elif key in found.specs:
            findings.add(f"would be {key!r} among the observations, as another feature is already", name)
        elif feature.dtype in ("image", "video"):
            _add_images(found, key, name, feature, findings)
        elif (kind := _number(feature.dtype)) is None or len(feature.shape) != 1:
            if name == ACTION:
                findings.add(f"expected numbers of shape (A,), found {feature.dtype} {feature.shape}", name)
            else:
                findings.note(f"not read: expected numbers of shape (D,), found {feature.dtype} {feature.shape}", name)
        elif name == ACTION and kind.kind != "f":
            findings.add(f"expected floating point numbers, found {feature.dtype}", name)
        else:
            if feature.dtype == "float64":
                findings.note("stored as float64, read as float32", name)
            found.states[key] = name
            found.specs[key] = FeatureSpec(key, feature.shape, feature.dtype, "action" if name == ACTION else "state")
    if ACTION not in features:
        findings.add("missing: expected a feature of this name", ACTION)
    elif not set(found.specs) - {ACTIONS}:
        findings.add(f"holds no observations: expected features named {_OBSERVATION}...", "features")
    return found


def key_of(name: str) -> str:
    """What a feature is called among the observations."""
    if name == ACTION:
        return ACTIONS
    return name.removeprefix(_IMAGE).removeprefix(_OBSERVATION).replace(".", "_").replace("/", "_")


def name_of(spec: FeatureSpec) -> str:
    """What a feature is called in a LeRobot dataset."""
    if spec.kind == "action":
        return ACTION
    return (_IMAGE if spec.kind == "image" else _OBSERVATION) + spec.key


def _add_images(found: Columns, key: str, name: str, feature: Feature, findings: Findings) -> None:
    shape = _upright(feature)
    if shape is None:
        axes = f" {feature.names}" if feature.names else ""
        findings.add(f"expected an image of shape (H, W, 3), found {feature.shape}{axes}", name)
        return
    (found.films if feature.dtype == "video" else found.pictures)[key] = name
    found.specs[key] = FeatureSpec(key, shape, "uint8", "image")


def _upright(feature: Feature) -> tuple[int, ...] | None:
    """An image's shape with the channels last, wherever they stand."""
    if len(feature.shape) != 3:
        return None
    names = feature.names if isinstance(feature.names, list) and len(feature.names) == 3 else [None] * 3
    first = names[0] in _CHANNELS or (names[2] not in _CHANNELS and feature.shape[2] != 3)
    shape = (*feature.shape[1:], feature.shape[0]) if first else feature.shape
    return shape if shape[2] == 3 else None


def _number(dtype: str) -> np.dtype | None:
    """The type of that name, if it is one of numbers."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        return None
    return found if found.kind in "biuf" else None


def _is_signal(feature: Feature | None) -> bool:
    return feature is not None and feature.shape == (1,) and _number(feature.dtype) is not None
