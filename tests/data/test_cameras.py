"""Views survive `env_args`, and those of other programs are read as far as they tell any."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.cameras import decode, encode, taken_by
from mtil.errors import DatasetError
from mtil.types import CameraView, FeatureSpec

ENV_ARGS = {"env_name": "push-v3", "type": 2, "env_kwargs": {"suite": "metaworld-mt10"}}

fractions = st.tuples(st.floats(0, 0.4), st.floats(0.5, 1))
crops = st.tuples(fractions, fractions).map(lambda pairs: (pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]))
names = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=9)
views = st.builds(CameraView, names, st.integers(1, 500), st.none() | crops)


@given(st.lists(views, max_size=3, unique_by=lambda view: view.camera))
def test_views_survive_env_args_and_leave_the_rest(told: list[CameraView]) -> None:
    env_args = encode(ENV_ARGS, told)
    assert decode(env_args) == {view.key: view for view in told}
    assert env_args["env_kwargs"]["suite"] == "metaworld-mt10"
    assert {key: env_args[key] for key in ("env_name", "type")} == {"env_name": "push-v3", "type": 2}


def test_views_as_robomimic_tells_them() -> None:
    assert encode(ENV_ARGS, [])["env_kwargs"] == ENV_ARGS["env_kwargs"]
    assert encode(ENV_ARGS, [CameraView("a", 8), CameraView("b", 6, (0.0, 0.5, 0.5, 1.0))])["env_kwargs"] == {
        "suite": "metaworld-mt10",
        "camera_names": ["a", "b"],
        "camera_heights": [8, 6],
        "camera_widths": [8, 6],
        "camera_crops": {"b": [0.0, 0.5, 0.5, 1.0]},
    }


@pytest.mark.parametrize(
    ("kwargs", "found"),
    [
        (None, {}),
        ({"camera_names": ["a"]}, {}),
        ({"camera_names": ["a", "b"], "camera_heights": 84, "camera_widths": 84}, {"a": 84, "b": 84}),
        ({"camera_names": "a", "camera_heights": 84, "camera_widths": 84}, {"a": 84}),
        ({"camera_names": ["a", "b"], "camera_heights": [84, 48], "camera_widths": [84, 64]}, {"a": 84}),
    ],
)
def test_views_of_other_programs(kwargs: Any, found: dict[str, int]) -> None:
    expected = {f"{name}_image": CameraView(name, size) for name, size in found.items()}
    assert decode({"env_kwargs": kwargs}) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"camera_names": 3}, "expected names, sizes and crops of cameras in env_kwargs, found .*'camera_names': 3"),
        ({"camera_heights": [84, 84]}, "expected names, sizes and crops of cameras"),
        ({"camera_heights": 0, "camera_widths": 0}, "camera 'a': expected a size of at least 1 pixel, got 0"),
        ({"camera_crops": {"a": [0, 0, 1]}}, "expected names, sizes and crops of cameras"),
        ({"camera_crops": {"a": [0, 0, 2, 1]}}, "camera 'a': expected a crop"),
    ],
)
def test_what_tells_no_view(change: dict[str, Any], message: str) -> None:
    kwargs = {"camera_names": ["a"], "camera_heights": 84, "camera_widths": 84}
    with pytest.raises(DatasetError, match=message):
        decode({"env_kwargs": kwargs | change})


@pytest.mark.parametrize(
    ("key", "size", "told"), [("a_image", 84, True), ("a_image", 48, False), ("b_image", 84, False)]
)
def test_an_image_is_a_cameras_by_its_name_and_size(key: str, size: int, told: bool) -> None:
    view = CameraView("a", 84)
    feature = taken_by(FeatureSpec(key, (size, size, 3), "uint8", "image"), {view.key: view})
    assert feature.camera == (view if told else None)
