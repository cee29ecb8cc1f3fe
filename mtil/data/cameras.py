"""Camera views as robomimic's `env_args` tell them: `env_kwargs` names cameras and their sizes, and here crops, too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mtil.errors import DatasetError
from mtil.types import CameraView, FeatureSpec


def encode(env_args: Mapping[str, Any], views: Sequence[CameraView]) -> dict[str, Any]:
    """`env_args` that tell the views, too."""
    if not views:
        return dict(env_args)
    sizes = [view.size for view in views]
    told: dict[str, Any] = {
        "camera_names": [view.camera for view in views],
        "camera_heights": sizes,
        "camera_widths": sizes,
    }
    crops = {view.camera: list(view.crop) for view in views if view.crop is not None}
    told |= {"camera_crops": crops} if crops else {}
    return {**env_args, "env_kwargs": {**env_args.get("env_kwargs", {}), **told}}


def decode(env_args: Mapping[str, Any]) -> dict[str, CameraView]:
    """The views that `env_args` tell, by key of their images; not those that are no squares.

    One camera may stand for a list of one, and one size for that of all cameras, as robosuite allows.

    Raises:
        DatasetError: A name, size or crop is none.
    """
    told = env_args.get("env_kwargs")
    if not isinstance(told, Mapping) or not {"camera_names", "camera_heights", "camera_widths"} <= told.keys():
        return {}
    names = [told["camera_names"]] if isinstance(told["camera_names"], str) else told["camera_names"]
    crops = told.get("camera_crops") or {}
    try:
        sizes = zip(_each(told["camera_heights"], names), _each(told["camera_widths"], names), strict=True)
        views = [
            CameraView(name, height, _crop(crops[name]) if name in crops else None)
            for name, (height, width) in zip(names, sizes, strict=True)
            if height == width
        ]
    except (TypeError, ValueError) as error:
        message = f"expected names, sizes and crops of cameras in env_kwargs, found {told} ({error})"
        raise DatasetError(message) from None
    return {view.key: view for view in views}


def taken_by(feature: FeatureSpec, views: Mapping[str, CameraView]) -> FeatureSpec:
    """A feature with the view that it shows, if one of these is of its name and size."""
    view = views.get(feature.key)
    fits = view is not None and feature.kind == "image" and feature.shape == (view.size, view.size, 3)
    return replace(feature, camera=view) if fits else feature


def describe(view: CameraView | None) -> str:
    """Words for what a feature's camera is, after those for its shape."""
    if view is None:
        return ""
    return f" of all that {view.camera} sees" + ("" if view.crop is None else f" within {view.crop}")


def _crop(sides: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, sides)
    return left, top, right, bottom


def _each(sizes: Any, names: Sequence[str]) -> Sequence[int]:
    return [sizes] * len(names) if isinstance(sizes, int) else sizes
