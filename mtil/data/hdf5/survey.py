"""A walk through one file of demonstrations: what it holds, and everything that is wrong with it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from mtil.data import cameras
from mtil.data.defects import Extent, Findings, note_decoded, outliers
from mtil.data.hdf5 import problem_info
from mtil.data.hdf5.demo import Demo, check_demo, member
from mtil.data.survey import Survey, describe
from mtil.types import CameraView, FeatureSpec, Task

_DEMO = re.compile(r"demo_\d+", re.ASCII)


def survey(path: Path, *, source: Path | None = None, decompress_images: bool = False) -> Survey:
    """Walk through a file; never raises, whatever state the file is in.

    Args:
        path: The file.
        source: Where it lies until it is complete, if it is not yet.
        decompress_images: Whether to read compressed images, which finds damage within them.
    """
    findings = Findings(str(path))
    default = Task(path.stem.removesuffix("_demo") or path.stem)
    with findings.guard(), h5py.File(source or path, "r") as file:
        return _survey(path, file, default, findings, decompress_images)
    return Survey(path, default, defects=tuple(findings.defects))


def _survey(path: Path, file: h5py.File, default: Task, findings: Findings, decompress_images: bool) -> Survey:
    task, demos, masks, env_args, views = default, {}, {}, {}, {}
    data = member(file, "data", h5py.Group, findings)
    if data is not None:
        env_args = _env_args(data, findings)
        with findings.guard("env_args"):
            views = cameras.decode(env_args)
        task = _task(data, default, findings)
        if "bddl_file_name" in data.attrs:
            traps = "recorded by LIBERO: images upside down, each observation seen after its action"
            findings.note(f"{traps}; `mtil convert SRC DST --to hdf5 --fix flip,timing` corrects both", "obs")
        demos = _demos(data, findings, decompress_images)
        masks = _masks(file, set(demos), findings)
    features = _agreed_features(demos, views, findings)
    sum((demo.extent for demo in demos.values()), Extent()).note(findings)
    _note_decoded(demos, findings)
    return Survey(
        path=path,
        task=task,
        lengths={name: demo.steps for name, demo in demos.items()},
        features=features,
        masks=masks,
        env_args=env_args,
        defects=tuple(findings.defects),
        notes=tuple(findings.notes),
    )


def _text(group: h5py.Group, name: str) -> str | None:
    value: Any = group.attrs.get(name)
    return value if value is None else value.decode() if isinstance(value, bytes) else str(value)


def _env_args(data: h5py.Group, findings: Findings) -> dict[str, Any]:
    """What is told of the environment."""
    with findings.guard("env_args"):
        text = _text(data, "env_args")
        if text is None:
            findings.add("missing: expected an attribute that names the environment, as JSON", "env_args")
        elif (env_args := _json_object(text)) is None:
            findings.add(f"expected a JSON object, found {text[:40]!r}", "env_args")
        else:
            return env_args
    return {}


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _task(data: h5py.Group, default: Task, findings: Findings) -> Task:
    with findings.guard("problem_info"):
        text = _text(data, "problem_info")
        return default if text is None else problem_info.decode(text, default.name)
    return default


def _demos(data: h5py.Group, findings: Findings, decompress_images: bool) -> dict[str, Demo]:
    inside = sorted(data.keys())
    names = sorted(filter(_DEMO.fullmatch, inside), key=lambda name: int(name[5:]))
    for stray in sorted(set(inside) - set(names)):
        findings.of(stray).add("expected nothing but groups named demo_<number> in the group 'data'")
    if not names:
        findings.add("holds no demonstrations: expected groups data/demo_0, data/demo_1, ...")
    demos: dict[str, Demo] = {}
    for name in names:
        demos[name] = Demo()
        group = member(data, name, h5py.Group, findings)
        of_demo = findings.of(name)
        with of_demo.guard():
            if group is not None:
                demos[name] = check_demo(group, of_demo, decompress_images=decompress_images)
    return demos


def _masks(file: h5py.File, demos: set[str], findings: Findings) -> dict[str, tuple[str, ...]]:
    masks: dict[str, tuple[str, ...]] = {}
    group = member(file, "mask", h5py.Group, findings) if "mask" in file else None
    for name in sorted(group.keys()) if group is not None else ():
        key = f"mask/{name}"
        with findings.guard(key):
            array = member(file, key, h5py.Dataset, findings)
            if array is None:
                continue
            if array.ndim != 1 or array.dtype.kind not in "SO":
                findings.add(f"expected names of demonstrations, found {array.dtype} {array.shape}", key)
                continue
            masks[name] = tuple(each.decode() for each in array[()])
            for unknown in sorted(set(masks[name]) - demos):
                findings.add(f"names {unknown!r}, which is not in the file", key)
    return masks


def _agreed_features(
    demos: dict[str, Demo], views: Mapping[str, CameraView], findings: Findings
) -> dict[str, FeatureSpec]:
    """The features that most demonstrations have; finds the demonstrations that differ."""
    _check_keys({name: demo.keys for name, demo in demos.items() if demo.keys is not None}, findings)
    features: dict[str, FeatureSpec] = {}
    for key in dict.fromkeys(key for demo in demos.values() for key in demo.features):
        specs = {name: demo.features[key] for name, demo in demos.items() if key in demo.features}
        features[key], odd = outliers(specs, lambda spec: (spec.kind, spec.shape))
        message = f"expected {describe(features[key])} as in the other demonstrations"
        for name in odd:
            findings.of(name).add(f"{message}, found {describe(specs[name])}", key)
    return {key: cameras.taken_by(spec, views) for key, spec in features.items()}


def _check_keys(keys: dict[str, frozenset[str]], findings: Findings) -> None:
    for key in sorted(frozenset().union(*keys.values())):
        usual, odd = outliers({name: key in present for name, present in keys.items()})
        message = "missing, though other demonstrations have it" if usual else "only here: most demonstrations lack it"
        for name in odd:
            findings.of(name).add(message, key)


def _note_decoded(demos: dict[str, Demo], findings: Findings) -> None:
    for key in dict.fromkeys(key for demo in demos.values() for key in demo.decoded):
        size = sum(demo.decoded.get(key, 0) for demo in demos.values())
        note_decoded(key, size, findings, how="chunked or compressed")
