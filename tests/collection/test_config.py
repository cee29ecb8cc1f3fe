"""Configurations are checked, and the command line's cameras become theirs."""

from typing import Any

import pytest

from mtil.collection.config import CameraConfig, CollectionConfig, read_cameras
from mtil.config import dump, load
from mtil.errors import ConfigError
from mtil.types import CameraView


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: -1", "seed: input should be greater than or equal to 0, found -1"),
        ("noise: -0.1", "noise: input should be greater than or equal to 0, found -0.1"),
        ("noise: .nan", "noise: input should be"),
        ("episodes_per_task: 0", "episodes_per_task: input should be greater than 0, found 0"),
        ("max_steps: {reach-v3: 0}", "max_steps.*: input should be greater than 0, found 0"),
        ("cameras: {corner: {size: 0}}", r"cameras\.corner\.size: input should be greater than 0, found 0"),
        ("cameras: {corner: {crop: [0, 1]}}", r"cameras\.corner\.crop\.2: required, but not given"),
        ("cameras: {corner: {crop: [0, 0, 2, 1]}}", "cameras: camera 'corner': expected a crop .*got"),
        ("cameras: {a/b: {size: 8}}", "cameras: camera name 'a/b': expected a non-empty name without '/'"),
        ("cameras: {corner: {sise: 8}}", "unknown key 'sise'; did you mean 'size'"),
    ],
)
def test_what_does_not_fit_is_answered(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(CollectionConfig, text)


def test_cameras_are_views_in_the_order_given() -> None:
    config = load(CollectionConfig, "cameras: {top: {size: 8}, corner: {crop: [0, 0.25, 0.5, 1]}}")
    assert config.views == (CameraView("top", 8), CameraView("corner", 84, (0.0, 0.25, 0.5, 1.0)))
    assert load(CollectionConfig, dump(config)) == config
    assert CollectionConfig().views == ()


def test_the_command_lines_cameras() -> None:
    found = read_cameras(["corner", "top"], size=48, crops=["top=0,.5,0.5,1"])
    assert found == {"corner": CameraConfig(size=48), "top": CameraConfig(size=48, crop=(0.0, 0.5, 0.5, 1.0))}
    assert read_cameras([], size=48, crops=[]) == {}


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ("tpo=0,0,1,1", "crop 'tpo=0,0,1,1': unknown camera 'tpo'; did you mean 'top'.*valid: corner, top"),
        ("top=0,0,1", "crop 'top=0,0,1': expected CAMERA=LEFT,TOP,RIGHT,BOTTOM, four fractions"),
        ("top", "crop 'top': expected CAMERA=LEFT,TOP,RIGHT,BOTTOM"),
        ("top=a,b,c,d", "expected CAMERA=LEFT,TOP,RIGHT,BOTTOM"),
    ],
)
def test_crops_that_are_none(crop: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_cameras(["corner", "top"], size=48, crops=[crop])
