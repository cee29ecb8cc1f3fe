"""Statistics as LeRobot keeps them: of each episode, and of all.

Legend: T steps, D dimensions, h x w pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

Statistics = dict[str, np.ndarray]
"""By name: min, max, mean, std, count and quantiles."""

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)

_SAMPLES, _PIXELS = 100, 100 * 100  # of an episode's images, those and so many pixels of each are looked at


def of_values(values: Shaped[np.ndarray, "T D"]) -> Statistics:
    """Those of a feature over an episode; each but `count` is (D,)."""
    values = values.astype(np.float64)
    return {
        "min": values.min(0),
        "max": values.max(0),
        "mean": values.mean(0),
        "std": values.std(0),
        "count": np.array([len(values)]),
        **dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values()), axis=0), strict=True)),
    }


def of_images(images: UInt8[np.ndarray, "T h w 3"]) -> Statistics:
    """Those of an episode's images, of a sample of them, scaled to [0, 1]; each but `count` is (3, 1, 1)."""
    every = -(-len(images) // _SAMPLES)
    apart = max(1, int((images.shape[1] * images.shape[2] / _PIXELS) ** 0.5))
    sample = images[::every, ::apart, ::apart]
    found = of_values(sample.reshape(-1, 3) / 255)
    return {name: values.reshape(3, 1, 1) for name, values in found.items() if name != "count"} | {
        "count": np.array([len(sample)])
    }


def of_all(episodes: Sequence[Mapping[str, np.ndarray]]) -> Statistics:
    """Those of several episodes together, each given with its own; quantiles are weighted means of theirs."""
    count = np.concatenate([episode["count"] for episode in episodes])
    stacked = {name: np.stack([episode[name] for episode in episodes]) for name in NAMES if name != "count"}
    weight = (count / count.sum()).reshape(-1, *[1] * (stacked["mean"].ndim - 1))
    mean = (weight * stacked["mean"]).sum(0)
    variance = (weight * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(0)
    return {
        "min": stacked["min"].min(0),
        "max": stacked["max"].max(0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": count.sum(keepdims=True),
        **{name: (weight * stacked[name]).sum(0) for name in QUANTILES},
    }


def to_json(statistics: Mapping[str, Statistics]) -> dict[str, Any]:
    """Of all features, as plain values."""
    return {key: {name: value.tolist() for name, value in found.items()} for key, found in statistics.items()}
