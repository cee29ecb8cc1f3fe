import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mtil.data.formats import open_tasks
from mtil.data.inspection import inspect
from mtil.errors import DatasetError
from mtil.types import Task

Damage = Callable[[Any], object]


def put(name: str, value: Any) -> Damage:
    """Damage that replaces an array or group."""

    def damage(file: h5py.File) -> None:
        if file.get(name, getlink=True) is not None:
            del file[name]
        file[name] = value

    return damage


def tell(name: str, value: Any, at: str = "data") -> Damage:
    """Damage that replaces an attribute."""
    return lambda file: file[at].attrs.__setitem__(name, value)


def drop(name: str) -> Damage:
    return lambda file: file.__delitem__(name)


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def poisoned(value: float, *shape: int) -> np.ndarray:
    array = numbers(*shape)
    array[3] = value
    return array


def empty_demo(file: Any) -> None:
    group = file["data/demo_1"]
    group.attrs["num_samples"] = 0
    for name in ("actions", "rewards", "dones", "obs/proprio", "obs/camera"):
        shape = group[name].shape[1:]
        put(f"data/demo_1/{name}", numbers(0, *shape, dtype=str(group[name].dtype)))(file)


def nested(file: Any) -> None:
    del file["data/demo_1/obs/proprio"]
    file.create_group("data/demo_1/obs/proprio/left")


def no_observations(file: Any) -> None:
    del file["data/demo_1/obs"]
    file.create_group("data/demo_1/obs")


def nothing_in_data(file: Any) -> None:
    for name in ("demo_0", "demo_1", "demo_2"):
        del file[f"data/{name}"]
    del file["mask"]


# demo_1 has 6 steps, a state of 4, an image of 6 x 8 and an action of 2
DEMO = "data/demo_1"
DAMAGES: dict[str, tuple[Damage, str | None, str | None, str]] = {
    "no data": (drop("data"), None, "data", "expected a group, missing"),
    "data is an array": (put("data", numbers(3)), None, "data", "expected a group, found an array"),
    "no env_args": (lambda f: f["data"].attrs.__delitem__("env_args"), None, "env_args", "missing"),
    "env_args no JSON": (tell("env_args", "{"), None, "env_args", "expected a JSON object, found '{'"),
    "env_args a number": (tell("env_args", 3), None, "env_args", "expected a JSON object, found '3'"),
    "env_args a JSON list": (tell("env_args", "[1]"), None, "env_args", r"expected a JSON object, found '\[1\]'"),
    "problem_info no JSON": (tell("problem_info", "open it"), None, "problem_info", "expected JSON, found 'open it'"),
    "task name with a slash": (tell("problem_info", '{"task_name": "a/b"}'), None, "problem_info", "without '/'"),
    "no demos": (nothing_in_data, None, None, "holds no demonstrations"),
    "stray group": (lambda f: f.create_group("data/extra"), "extra", None, "groups named demo_<number>"),
    "stray array": (put("data/demo_x", numbers(3)), "demo_x", None, "groups named demo_<number>"),
    "demo is an array": (put("data/demo_3", numbers(3)), None, "demo_3", "expected a group, found an array"),
    "no num_samples": (lambda f: f[DEMO].attrs.__delitem__("num_samples"), "demo_1", "num_samples", "missing"),
    "num_samples text": (tell("num_samples", "six", DEMO), "demo_1", "num_samples", "found 'six'"),
    "num_samples smaller": (tell("num_samples", 5, DEMO), "demo_1", "num_samples", "expected 6, .*, found 5"),
    "num_samples larger": (tell("num_samples", 7, DEMO), "demo_1", "num_samples", "expected 6, .*, found 7"),
    "no steps": (empty_demo, "demo_1", None, "has no steps"),
    "no actions": (drop(f"{DEMO}/actions"), "demo_1", "actions", "missing"),
    "no rewards": (drop(f"{DEMO}/rewards"), "demo_1", "rewards", "missing"),
    "no dones": (drop(f"{DEMO}/dones"), "demo_1", "dones", "missing"),
    "short actions": (put(f"{DEMO}/actions", numbers(5, 2)), "demo_1", "actions", "expected 6 steps .*, found 5"),
    "long state": (put(f"{DEMO}/obs/proprio", numbers(7, 4)), "demo_1", "proprio", "expected 6 steps .*, found 7"),
    "short rewards": (put(f"{DEMO}/rewards", numbers(5)), "demo_1", "rewards", "expected 6 steps .*, found 5"),
    "wide rewards": (put(f"{DEMO}/rewards", numbers(6, 1)), "demo_1", "rewards", r"of shape \(T,\), found .* \(6, 1\)"),
    "narrow actions": (put(f"{DEMO}/actions", numbers(6, 1)), "demo_1", "actions", r"shape \(2,\) .*, found .*\(1,\)"),
    "wide state": (put(f"{DEMO}/obs/proprio", numbers(6, 5)), "demo_1", "proprio", r"shape \(4,\) .*, found .*\(5,\)"),
    "image size": (
        put(f"{DEMO}/obs/camera", numbers(6, 9, 8, 3, dtype="uint8")),
        "demo_1",
        "camera",
        r"image of shape \(6, 8, 3\) .*, found image of shape \(9, 8, 3\)",
    ),
    "no obs": (drop(f"{DEMO}/obs"), "demo_1", "obs", "expected a group, missing"),
    "empty obs": (no_observations, "demo_1", "obs", "holds no observations"),
    "key missing": (drop(f"{DEMO}/obs/proprio"), "demo_1", "proprio", "missing, though other demonstrations have it"),
    "key too many": (put(f"{DEMO}/obs/more", numbers(6, 4)), "demo_1", "more", "only here"),
    "reserved key": (put(f"{DEMO}/obs/actions", numbers(6, 4)), "demo_1", "actions", "cannot bear this name"),
    "NaN action": (put(f"{DEMO}/actions", poisoned(np.nan, 6, 2)), "demo_1", "actions", "step 3 is NaN"),
    "infinite state": (put(f"{DEMO}/obs/proprio", poisoned(-np.inf, 6, 4)), "demo_1", "proprio", "step 3 is NaN"),
    "NaN reward": (put(f"{DEMO}/rewards", poisoned(np.nan, 6)), "demo_1", "rewards", "step 3 is NaN"),
    "integer actions": (
        put(f"{DEMO}/actions", numbers(6, 2, dtype="int64")),
        "demo_1",
        "actions",
        r"expected floating point numbers of shape \(T, A\), found int64 \(6, 2\)",
    ),
    "flat actions": (put(f"{DEMO}/actions", numbers(6)), "demo_1", "actions", r"\(T, A\), found float32 \(6,\)"),
    "text": (put(f"{DEMO}/obs/proprio", np.array([[b"a"]] * 6)), "demo_1", "proprio", r"expected numbers .* \|S1"),
    "flat state": (
        put(f"{DEMO}/obs/proprio", numbers(6)),
        "demo_1",
        "proprio",
        r"one number per step has shape \(T, 1",
    ),
    "no width": (put(f"{DEMO}/obs/proprio", numbers(6, 0)), "demo_1", "proprio", "at least one value per step"),
    "scalar": (
        put(f"{DEMO}/obs/proprio", 3.0),
        "demo_1",
        "proprio",
        r"expected numbers of shape .*, found float64 \(\)",
    ),
    "void": (put(f"{DEMO}/obs/proprio", h5py.Empty("f4")), "demo_1", "proprio", "without a shape"),
    "nested": (nested, "demo_1", "proprio", "expected an array, found a group"),
    "channels first": (
        put(f"{DEMO}/obs/camera", numbers(6, 3, 6, 8, dtype="uint8")),
        "demo_1",
        "camera",
        r"uint8 of shape \(T, H, W, 3\), found uint8 \(6, 3, 6, 8\); channels stand first",
    ),
    "float image": (
        put(f"{DEMO}/obs/camera", numbers(6, 6, 8, 3)),
        "demo_1",
        "camera",
        "found float32 .*; scale to 0..255",
    ),
    "grey image": (put(f"{DEMO}/obs/camera", numbers(6, 6, 8, 1)), "demo_1", "camera", "needs three channels"),
    "flat grey image": (put(f"{DEMO}/obs/camera", numbers(6, 6, 8)), "demo_1", "camera", "needs three channels"),
    "two channels": (
        put(f"{DEMO}/obs/camera", numbers(6, 6, 8, 2)),
        "demo_1",
        "camera",
        r"found float32 \(6, 6, 8, 2\);",
    ),
    "broken soft link": (
        put(f"{DEMO}/obs/proprio", h5py.SoftLink("/x")),
        "demo_1",
        "proprio",
        "link that leads nowhere",
    ),
    "broken external link": (
        put(f"{DEMO}/actions", h5py.ExternalLink("nowhere.h5", "/x")),
        "demo_1",
        "actions",
        "link that leads nowhere",
    ),
    "mask names an unknown demo": (put("mask/valid", np.array([b"demo_9"])), None, "mask/valid", "names 'demo_9'"),
    "mask of numbers": (put("mask/valid", np.arange(3)), None, "mask/valid", "expected names of demonstrations"),
    "mask is an array": (put("mask", np.arange(3)), None, "mask", "expected a group, found an array"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_one_defect_that_names_file_demo_and_key(opened: h5py.File, sound: Path, name: str) -> None:
    damage, demo, key, message = DAMAGES[name]
    damage(opened)
    opened.close()
    defects = inspect(sound).defects
    assert [(defect.file, defect.demo, defect.key) for defect in defects] == [(str(sound), demo, key)]
    with pytest.raises(DatasetError, match=message):
        open_tasks(sound)


def test_all_defects_are_listed(opened: h5py.File, sound: Path) -> None:
    every_demo = [put(f"data/demo_{i}/rewards", poisoned(np.nan, n)) for i, n in enumerate((5, 6, 4))]
    for damage in (tell("env_args", "{"), drop("data/demo_2/dones"), *every_demo):
        damage(opened)
    opened.close()
    assert [(defect.demo, defect.key) for defect in inspect(sound).defects] == [
        (None, "env_args"),
        ("demo_0", "rewards"),
        ("demo_1", "rewards"),
        ("demo_2", "dones"),
        ("demo_2", "rewards"),
    ]


def test_one_bad_file_does_not_hide_the_others(write: Callable[[str], Path]) -> None:
    reach, push, sweep, other = (write(name) for name in ("reach", "push", "sweep", "other"))
    reach.write_bytes(reach.read_bytes()[:-200])
    push.write_text("these are no demonstrations")
    with h5py.File(other, "r+") as file:
        tell("problem_info", '{"task_name": "sweep"}')(file)
    inspection = inspect(sweep.parent)
    assert [(Path(defect.file).name, defect.message) for defect in inspection.defects] == [
        ("push.hdf5", "not an HDF5 file"),
        ("reach.hdf5", "truncated: shorter than its header says (copied or written only in part)"),
        ("sweep.hdf5", "expected one file per task, but other.hdf5 holds task 'sweep' already"),
    ]
    assert [(each.task.name, each.demos) for each in inspection.tasks] == [
        ("sweep", 3),
        ("push", 0),
        ("reach", 0),
        ("sweep", 3),
    ]


def test_damage_within_compressed_images_is_found(opened: h5py.File, sound: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 8, 3), dtype=np.uint8)
    del opened[f"{DEMO}/obs/camera"]
    array = opened.create_dataset(f"{DEMO}/obs/camera", data=noise, compression="gzip")
    chunk = array.id.get_chunk_info(0)
    opened.close()
    content = bytearray(sound.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    sound.write_bytes(content)
    (defect,) = inspect(sound).defects
    assert (defect.demo, defect.key) == ("demo_1", "camera")
    assert defect.message.startswith("cannot be read")


def test_facts_that_are_no_defects_are_noted(opened: h5py.File, sound: Path) -> None:
    actions = np.zeros((6, 2))
    actions[2] = 1.25, -4
    put(f"{DEMO}/actions", actions)(opened)
    del opened[f"{DEMO}/obs/proprio"]
    opened.create_dataset(f"{DEMO}/obs/proprio", data=numbers(6, 4), compression="lzf")
    for demo, steps in (("demo_0", 5), ("demo_2", 4)):
        del opened[f"data/{demo}/obs/camera"]
        opened.create_dataset(f"data/{demo}/obs/camera", data=numbers(steps, 60, 80, 3, dtype="uint8"), chunks=True)
    put(f"{DEMO}/obs/camera", numbers(6, 60, 80, 3, dtype="uint8"))(opened)
    opened.close()
    once = "training on them decodes 0.1 MB into the cache, once (data.decoding=on_the_fly: none)"
    inspection = inspect(sound)
    assert inspection.defects == ()
    assert [(note.key, note.message) for note in inspection.notes] == [
        ("actions", "stored as float64, read as float32"),
        ("proprio", "compressed (lzf): contiguous arrays are read many times faster"),
        ("actions", "2 of 30 values lie outside [-1, 1], the farthest at -4"),
        ("camera", f"chunked or compressed: {once}"),
    ]
    open_tasks(sound)


def test_what_liberos_recorder_does_is_told(opened: h5py.File, sound: Path) -> None:
    tell("bddl_file_name", "open_it.bddl")(opened)
    opened.close()
    (note,) = inspect(sound).notes
    assert note.message == (
        "recorded by LIBERO: images upside down, each observation seen after its action; "
        "`mtil convert SRC DST --to hdf5 --fix flip,timing` corrects both"
    )


def test_the_readmes_recipe_makes_a_sound_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = Path(__file__).parents[2] / "data" / "README.md"
    recipe = tmp_path / "recipe.py"
    recipe.write_text(readme.read_text().partition("```python\n")[2].partition("```")[0])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(recipe))
    inspection = inspect(tmp_path / "demos")
    assert inspection.defects == ()
    assert inspection.tasks[0].task == Task("stack-blocks", ("put the red block on the blue block",))


def test_a_missing_instruction_is_no_defect(opened: h5py.File, sound: Path) -> None:
    del opened["data"].attrs["problem_info"]
    opened.close()
    inspection = inspect(sound)
    assert inspection.defects == ()
    assert inspection.tasks[0].task.instructions == ()


def test_json_is_what_the_command_line_promises(write: Callable[[str], Path]) -> None:
    folder = write("reach").parent
    with h5py.File(write("sweep"), "r+") as file:
        for demo, steps in (("demo_0", 5), ("demo_1", 6), ("demo_2", 4)):
            put(f"data/{demo}/obs/proprio", numbers(steps, 7))(file)
        drop("data/demo_0/rewards")(file)
    told = json.loads(json.dumps(inspect(folder).to_json()))
    assert told == {
        "tasks": [
            {"task": name, "instructions": [f"do {name}", f"please do {name}"], "demos": 3, "steps": 15}
            for name in ("reach", "sweep")
        ],
        "features": {
            "actions": {"shape": [2], "dtype": "float32"},
            "camera": {"shape": [6, 8, 3], "dtype": "uint8"},
            "proprio": {"shape": [7], "dtype": "float32"},
        },
        "defects": [
            {
                "file": str(folder / "sweep.hdf5"),
                "demo": "demo_0",
                "key": "rewards",
                "message": "expected an array, missing",
            }
        ],
    }


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such file or folder"):
        inspect(tmp_path / "nowhere")
