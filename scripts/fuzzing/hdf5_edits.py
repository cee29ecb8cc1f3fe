"""Changes to what an HDF5 file holds, through HDF5 itself: none that leaves a sound file with other values."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fuzzing import json_edits

_SHAPES = ((), (0,), (1,), (3,), (3, 0), (3, 2), (3, 2, 2), (3, 16, 16, 3), (3, 3, 16, 16))
_KINDS = ("f4", "f8", "f2", "i8", "u1", "?", "S3", "c8", "V5", [("a", "f4"), ("b", "i2")], h5py.string_dtype())
_VALUES: tuple[Any, ...] = (-1, 0, 2, 7, 2**63 - 1, 0.5, float("nan"), "", "3", b"\xff", [1, 2], np.array("x", "S1"))


def edit(path: Path, rng: np.random.Generator) -> str:
    """Change a file in its place; tells what was done."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = names[int(rng.integers(len(names)))]
        return _EDITS[int(rng.integers(len(_EDITS)))](file, name, rng)


def _text(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    attribute = str(rng.choice(["env_args", "problem_info"]))
    attributes = file["data"].attrs
    text, words = json_edits.edited(json.loads(str(attributes[attribute])), rng)
    if len(text) > 60_000:  # an attribute takes no more
        text, words = text[:1000], "cut"
    attributes[attribute] = text
    return f"{attribute}: {words}"


def _attribute(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    holder = file[name if file[name].attrs else "data"]
    attribute = str(rng.choice(list(holder.attrs)))
    value = _VALUES[int(rng.integers(len(_VALUES)))]
    if rng.random() < 0.2:
        del holder.attrs[attribute]
        return f"{name} without {attribute}"
    holder.attrs[attribute] = value
    return f"{name}: {attribute} = {value!r}"


def _replace(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    """Another array in the place of one, or of a group."""
    shape, kind = _SHAPES[int(rng.integers(len(_SHAPES)))], _KINDS[int(rng.integers(len(_KINDS)))]
    del file[name]
    file.create_dataset(name, shape, kind)
    return f"{name}: {kind} {shape}"


def _same_array(file: h5py.File, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """One of the arrays that have a fixed size in the file."""
    arrays: dict[str, np.ndarray] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind != "O":
            arrays[name] = item[()]

    file.visititems(note)
    name = str(rng.choice(sorted(arrays)))
    return name, arrays[name]


def _steps(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    name, values = _same_array(file, rng)
    less = rng.random() < 0.5
    del file[name]
    file[name] = values[:-1] if less else np.concatenate([values, values[:1]])
    return f"{name}: a step {'less' if less else 'more'}"


def _never_written(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    """An array of the right form, and nothing in it: in one piece, in chunks, elsewhere, or beyond all bounds."""
    name, values = _same_array(file, rng)
    del file[name]
    way = str(rng.choice(["contiguous", "chunked", "external", "virtual", "partly", "huge", "scale"]))
    if way == "external":
        file.create_dataset(name, values.shape, values.dtype, external=[("nowhere.bin", 0, h5py.h5f.UNLIMITED)])
    elif way == "virtual":
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource("nowhere.h5", "x", values.shape)
        file.create_virtual_dataset(name, layout)
    elif way == "huge":
        file.create_dataset(name, (10 ** int(rng.integers(8, 14)), *values.shape[1:]), values.dtype, chunks=True)
    elif way == "contiguous":
        file.create_dataset(name, values.shape, values.dtype)
    else:
        array = file.create_dataset(name, values.shape, values.dtype, chunks=(1, *values.shape[1:]))
        if way == "partly":
            array[:-1] = values[:-1]
    return f"{name}: never written ({way})"


def _stored(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    """The same values, stored in another way."""
    name, values = _same_array(file, rng)
    attributes = dict(file[name].attrs)
    way = str(rng.choice(["gzip", "lzf", "shuffle", "fletcher32", "float64", "big-endian"]))
    kind = values.dtype
    if values.dtype.kind == "f":
        kind = {"float64": np.dtype("f8"), "big-endian": np.dtype(">f4")}.get(way, kind)
    filters = {"gzip": {"compression": "gzip"}, "lzf": {"compression": "lzf"}, "shuffle": {"shuffle": True}}
    options = filters.get(way, {"fletcher32": True} if way == "fletcher32" else {})
    del file[name]
    file.create_dataset(name, data=values.astype(kind) if values.dtype.kind == "f" else values, **options)
    file[name].attrs.update(attributes)
    return f"{name}: stored as {way}"


def _link(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    way = str(rng.choice(["nowhere", "elsewhere", "up", "itself", "loop"]))
    if way == "loop":
        file[f"{name if isinstance(file[name], h5py.Group) else 'data/demo_0/obs'}/loop"] = file["data"]
        return f"{name}: a loop"
    del file[name]
    targets = {"nowhere": h5py.SoftLink("/no/where"), "elsewhere": h5py.ExternalLink("nowhere.h5", "/x")}
    targets |= {"up": h5py.SoftLink("/data"), "itself": h5py.SoftLink(f"/{name}")}
    file[name] = targets[way]
    return f"{name}: a link {way}"


def _strange(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    """A name where none belongs, or one that is none."""
    strange = str(rng.choice(["data/x", "data/demo_", "data/demo_00", "data/demo_" + "9" * 5000, "mask/é", "mask/x"]))
    if strange not in file:
        file[strange] = np.array([b"\xff\xfe"]) if strange.startswith("mask") else np.zeros(3)
    return f"{strange[:20]} added"


def _moved(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    inside = ["actions", "rewards", "dones", "obs/proprio", "obs/top_image", "obs"]
    name = f"data/demo_{rng.choice([0, 3])}/{rng.choice(inside)}"
    if rng.random() < 0.5:
        file.move(name, f"{name}x")
        return f"{name} renamed"
    del file[name]
    return f"without {name}"


_EDITS = (_text, _attribute, _replace, _steps, _never_written, _never_written, _stored, _link, _strange, _moved)
