"""Embeddings of tasks as points on a map: geometry for an SVG drawing.

Legend: N embeddings, Z width of z.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mtil.evaluation.conditioning import Descriptors
from mtil.evaluation.retrieval import plane

_WIDTH, _HIGHEST, _LOWEST, _MARGIN = 100.0, 62.0, 20.0, 2.0
_GOLDEN = 137.508  # degrees: hues of neighbours differ much, however many there are
_SHAPES = (
    "m-.6 0a.6 .6 0 1 0 1.2 0a.6 .6 0 1 0-1.2 0z",  # a disc
    "m-.6-.6h1.2v1.2h-1.2z",  # a square
    "m0-.9l.9 1.5h-1.8z",  # a triangle
    "m0-.9l.9 .9l-.9 .9l-.9-.9z",  # a diamond
    "m-.25-.8h.5v.55h.55v.5h-.55v.55h-.5v-.55h-.55v-.5h.55z",  # a cross
)


@dataclass(frozen=True)
class Mark:
    """A point: its outline, the hue of its task in degrees, and what it is."""

    path: str
    hue: float
    title: str


@dataclass(frozen=True)
class TaskMap:
    """The map.

    Attributes:
        height: Of the drawing, whose width is 100; both axes have one scale.
        marks: All points.
        kinds: What was embedded, and the outline of its marks about (0, 0).
        hues: Of each task.
        share: Of the embeddings' variance, what the plane shows.
    """

    height: float
    marks: Sequence[Mark]
    kinds: Sequence[tuple[str, str]]
    hues: Mapping[str, float]
    share: float


def task_map(told: Mapping[str, Descriptors], tasks: Sequence[str]) -> TaskMap:
    """The map of all that is told.

    Args:
        told: By title, one or more.
        tasks: All there are, in order: they decide the colours.
    """
    hues = {task: round(index * _GOLDEN % 360, 1) for index, task in enumerate(tasks)}
    shapes = {title: _SHAPES[index % len(_SHAPES)] for index, title in enumerate(told)}
    points = [(title, task, each) for title, group in told.items() for task, some in group.items() for each in some]
    flat, share = plane(np.stack([each.z.double().numpy() for _, _, each in points]))
    places, height = _on_paper(flat)
    marks = [
        Mark(f"M{x:.2f} {y:.2f}{shapes[title]}", hues[task], f"{task}: {each.words}")
        for (title, task, each), (x, y) in zip(points, places.tolist(), strict=True)
    ]
    return TaskMap(height, marks, [*shapes.items()], hues, share)


def _on_paper(flat: Float[np.ndarray, "N 2"]) -> tuple[Float[np.ndarray, "N 2"], float]:
    """Where the points lie on paper, as large as it allows, and its height."""
    low, extent = flat.min(0), np.ptp(flat, axis=0)
    scale = float(np.min((np.array([_WIDTH, _HIGHEST]) - 2 * _MARGIN) / np.maximum(extent, 1e-9)))
    height = max(_LOWEST, round(float(extent[1]) * scale + 2 * _MARGIN, 2))
    middle = np.array([_WIDTH, height]) / 2
    offset = (flat - low - extent / 2) * scale
    return middle + offset * np.array([1, -1]), height
