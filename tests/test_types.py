import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.errors import DatasetError
from mtil.types import CameraView, DatasetSpec, Episode, FeatureSpec, Task, first_not_finite

names = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=9)
sentences = st.text(min_size=1).filter(str.strip)


fractions = st.tuples(st.floats(0, 0.4), st.floats(0.5, 1))
crops = st.tuples(fractions, fractions).map(lambda pairs: [pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]])


@st.composite
def stored_specs(draw: st.DrawFn) -> dict[str, Any]:
    """Specs as JSON."""
    tasks = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    keys = draw(st.lists(names.filter(lambda key: key != "actions"), max_size=3, unique=True))
    cameras = draw(st.lists(names, max_size=2, unique=True))
    sizes = st.lists(st.integers(1, 9), min_size=len(tasks), max_size=len(tasks))
    widths = {key: draw(sizes) for key in [*keys, "actions"]}

    def feature(key: str, dtype: str, kind: str) -> dict[str, Any]:
        return {"key": key, "shape": [max(widths[key])], "dtype": dtype, "kind": kind, "camera": None, "scaled": False}

    def image(camera: str) -> dict[str, Any]:
        size = draw(st.integers(1, 99))
        view = draw(
            st.none()
            | st.fixed_dictionaries({"camera": st.just(camera), "size": st.just(size), "crop": st.none() | crops})
        )
        shape, scaled = [size, size, 3], draw(st.booleans())
        what = {"shape": shape, "dtype": "uint8", "kind": "image", "camera": view, "scaled": scaled}
        return {"key": f"{camera}_image", **what}

    told = draw(st.integers(0, len(keys)))
    return {
        "tasks": [{"name": name, "instructions": draw(st.lists(sentences, max_size=3))} for name in tasks],
        "observations": [feature(key, "float32", "state") for key in keys[told:]]
        + [image(camera) for camera in cameras],
        "action": feature("actions", "float64", "action"),
        "widths": widths,
        "targets": [feature(key, "float32", "state") for key in keys[:told]],
        "clip": image("clips") if draw(st.booleans()) else None,
        "goal": [feature(key, "float32", "state") for key in keys[:told]],
        "embodiments": [
            {
                "name": name,
                "tasks": [name],
                "keys": {key: f"own_{key}" for key in keys},
                "views": [],
                "prefix": name[:1],
            }
            for name in tasks
        ],
    }


@given(stored_specs())
def test_a_spec_survives_json(stored: dict[str, Any]) -> None:
    spec = DatasetSpec.from_json(stored)
    assert spec.to_json() == stored
    assert DatasetSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(stored_specs())
def test_a_specs_views_are_its_cameras(stored: dict[str, Any]) -> None:
    stored["embodiments"] = []
    views = [feature["camera"] for feature in stored["observations"] if feature["camera"]]
    assert [view.camera for view in DatasetSpec.from_json(stored).views("")] == [view["camera"] for view in views]


@given(stored_specs())
def test_a_spec_from_before_policies_could_see_loads(stored: dict[str, Any]) -> None:
    del stored["targets"], stored["goal"], stored["embodiments"]
    for feature in (*stored["observations"], stored["action"]):
        del feature["camera"]
    spec = DatasetSpec.from_json(stored)
    assert [feature.key for feature in spec.observations] == [feature["key"] for feature in stored["observations"]]
    assert {feature.camera for feature in (*spec.observations, spec.action)} == {None}


@given(stored_specs())
def test_valid_dimensions_are_the_tasks_first(stored: dict[str, Any]) -> None:
    spec = DatasetSpec.from_json(stored)
    valid = spec.valid(spec.action)
    assert valid.shape == (len(spec.tasks), *spec.action.shape)
    assert valid.sum(1).tolist() == list(spec.widths["actions"])
    assert (np.diff(valid.astype(int), axis=1) <= 0).all()


@given(stored_specs())
def test_a_position_is_the_place_in_the_vocabulary(stored: dict[str, Any]) -> None:
    spec = DatasetSpec.from_json(stored)
    assert [spec.position(name) for name in spec.task_names] == list(range(len(spec.tasks)))


def test_a_position_of_an_unknown_task() -> None:
    spec = DatasetSpec((Task("reach"),), (), FeatureSpec("actions", (1,), "float32", "action"), {"actions": (1,)})
    with pytest.raises(DatasetError, match="unknown task 'raech'; did you mean 'reach'"):
        spec.position("raech")


@pytest.mark.parametrize("name", ["", "a/b"])
def test_names_that_no_task_may_have(name: str) -> None:
    with pytest.raises(DatasetError, match=f"task name '{name}': expected a non-empty name without '/'"):
        Task(name)


@pytest.mark.parametrize("blank", ["", " \n"])
def test_instructions_say_something(blank: str) -> None:
    with pytest.raises(DatasetError, match=r"task 'reach': instruction .* is blank"):
        Task("reach", ("reach it", blank))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((8, 6, 3), "float32"), ((3, 8, 6), "uint8"), ((8, 6), "uint8"), ((8, 6, 4), "uint8")]
)
def test_an_image_is_uint8_with_colours_last(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(DatasetError, match=r"camera: an image must be uint8 of shape \(height, width, 3\), got"):
        FeatureSpec("camera", shape, dtype, "image")
    FeatureSpec("camera", (8, 6, 3), "uint8", "image")


def test_a_views_key_tells_its_camera() -> None:
    assert CameraView("corner2", 84).key == "corner2_image"


@pytest.mark.parametrize("size", [0, -84])
def test_sizes_that_no_view_may_have(size: int) -> None:
    with pytest.raises(DatasetError, match=f"camera 'top': expected a size of at least 1 pixel, got {size}"):
        CameraView("top", size)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_names_that_no_camera_may_have(name: str) -> None:
    with pytest.raises(DatasetError, match=f"camera name '{name}': expected a non-empty name without '/'"):
        CameraView(name, 84)


@pytest.mark.parametrize(
    "crop",
    [(0.5, 0.0, 0.5, 1.0), (0.0, 0.6, 1.0, 0.4), (-0.1, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.1), (0.0, 0.0, np.nan, 1.0)],
)
def test_crops_that_hold_nothing_or_more_than_all(crop: Any) -> None:
    with pytest.raises(DatasetError, match=r"camera 'top': expected a crop \(left, top, right, bottom\) within"):
        CameraView("top", 84, crop)
    CameraView("top", 84, (0.0, 0.25, 0.5, 1.0))


@pytest.mark.parametrize(("shape", "dtype", "kind"), [((64, 64, 3), "uint8", "image"), ((84,), "float32", "state")])
def test_what_a_camera_took_has_its_size(shape: tuple[int, ...], dtype: str, kind: Any) -> None:
    with pytest.raises(DatasetError, match=r"top_image: expected the shape that its camera gives, \(84, 84, 3\), got"):
        FeatureSpec("top_image", shape, dtype, kind, CameraView("top", 84))


@pytest.mark.parametrize("kind", ["state", "action"])
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_a_state_or_action_is_a_vector(kind: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match="proprio: expected one vector per step, got shape"):
        FeatureSpec("proprio", shape, "float32", kind)


def arrays(steps: int = 3, **changed: np.ndarray) -> dict[str, Any]:
    return {
        "observations": {"proprio": np.zeros((steps, 2), np.float32)},
        "actions": np.zeros((steps, 1), np.float32),
        "rewards": np.zeros(steps, np.float32),
        "dones": np.zeros(steps, bool),
    } | changed


def test_an_episode_is_as_long_as_its_actions() -> None:
    assert len(Episode(**arrays(3))) == 3


def test_an_episode_has_a_step() -> None:
    with pytest.raises(DatasetError, match=r"actions must have shape \(T, A\) with T >= 1, got \(0, 1\)"):
        Episode(**arrays(0))


@pytest.mark.parametrize("key", ["rewards", "dones"])
def test_lengths_agree(key: str) -> None:
    with pytest.raises(DatasetError, match=f"{key}: expected 3 steps as the actions have, got 2"):
        Episode.__post_init__(_unchecked(**{key: np.zeros(2, np.float32)}))
    with pytest.raises(DatasetError, match="proprio: expected 3 steps as the actions have, got 4"):
        Episode.__post_init__(_unchecked(observations={"proprio": np.zeros((4, 2))}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite(bad: float) -> None:
    array = np.zeros((3, 2), np.float32)
    array[1:, 1] = bad
    with pytest.raises(DatasetError, match="proprio: step 1 is NaN or infinite"):
        Episode(**arrays(observations={"proprio": array}))  # pyright: ignore[reportArgumentType]
    with pytest.raises(DatasetError, match="actions: step 1 is NaN or infinite"):
        Episode(**arrays(actions=array))
    assert first_not_finite(array) == 1


def _unchecked(**changed: Any) -> Episode:
    """An episode whose arrays nothing has looked at. (Under test, its constructor has the shapes checked before.)"""
    episode = object.__new__(Episode)
    for name, value in (arrays() | changed).items():
        object.__setattr__(episode, name, value)
    return episode
