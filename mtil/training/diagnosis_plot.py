"""A diagnosis as a picture: which tasks' gradients fight, beside what each task is of the whole gradient.

Legend: T tasks.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtil.pictures import write_figure
from mtil.training.interference import Interference

_NUMBERED = 15  # tasks: with more, the cells are too small for their numbers


def plot(found: Interference) -> Figure:
    """The cosines of the tasks' gradients as a matrix, and the tasks' shares as bars in the same rows."""
    size = 0.42 * len(found.tasks)
    figure = Figure(figsize=(6.5 + size, 2.0 + size), layout="constrained")
    matrix, bars = figure.subplots(1, 2, width_ratios=[size, 2.5], sharey=True)
    _draw_cosines(matrix, found)
    _draw_shares(bars, found)
    figure.legend(loc="outside lower right", fontsize=8)
    return figure


def write_plot(path: Path, found: Interference) -> None:
    """Write the picture in the format that its suffix names, replacing the file in one move.

    Raises:
        OutputError: The suffix is of no such format, or the file cannot be written.
    """
    write_figure(path, plot(found), dpi=150)


def _draw_cosines(axes: Axes, found: Interference) -> None:
    names = [task.task for task in found.tasks]
    values = np.array(found.cosines, dtype=float)
    image = axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("cosine of the tasks' gradients")
    axes.figure.colorbar(image, ax=axes, shrink=0.8)
    if len(names) > _NUMBERED:
        return
    for (row, column), value in np.ndenumerate(values):
        label, colour = "" if np.isnan(value) else f"{value:.2f}", "white" if abs(value) > 0.6 else "black"
        axes.text(column, row, label, ha="center", va="center", fontsize=7, color=colour)


def _draw_shares(axes: Axes, found: Interference) -> None:
    shares = [np.nan if task.share is None else 100 * task.share for task in found.tasks]
    weights = [100 * task.weight for task in found.tasks]
    rows = range(len(shares))
    axes.barh(rows, shares, color="0.55", label="share of the gradient")
    axes.plot(weights, rows, "k|", markersize=10, label="weight in the objective")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.tick_params(labelleft=False)
    axes.set_xlabel("%")
    axes.set_title("share of the gradient")
