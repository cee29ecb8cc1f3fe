"""Meshes of fewer faces, which software draws faster.

Legend: V vertices, F faces.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

from copy import copy

import mujoco
import numpy as np
from jaxtyping import Float, Int

_MANY = 2000  # faces of a mesh that is worth it: a robot's links have more, what it handles has less
_CELL = 0.01  # metres
_CELLS = 5  # along the longest side of a mesh, or little would be left of it


def coarsened(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy of a model to draw by, not to simulate: in its large meshes, vertices in one cell of a grid are one.

    At a metre's distance a face of that size is a pixel of a picture 100 pixels wide. This is vertex clustering
    (Rossignac and Borrel 1993, "Multi-resolution 3D approximations for rendering complex scenes").
    """
    coarse = copy(model)
    for mesh in np.flatnonzero(coarse.mesh_facenum > _MANY):
        vertices = slice(coarse.mesh_vertadr[mesh], coarse.mesh_vertadr[mesh] + coarse.mesh_vertnum[mesh])
        if np.ptp(coarse.mesh_vert[vertices], axis=0).max() < _CELLS * _CELL:
            continue
        first, number = coarse.mesh_faceadr[mesh], coarse.mesh_facenum[mesh]
        places, cells = _clustered(coarse.mesh_vert[vertices])
        kept = first + _distinct(cells[coarse.mesh_face[first : first + number]])
        coarse.mesh_vert[vertices] = places[cells]
        for faces in (coarse.mesh_face, coarse.mesh_facenormal, coarse.mesh_facetexcoord):
            faces[first : first + len(kept)] = faces[kept]
        coarse.mesh_facenum[mesh] = len(kept)
    return coarse


def _clustered(vertices: Float[np.ndarray, "V 3"]) -> tuple[Float[np.ndarray, "_ 3"], Int[np.ndarray, " V"]]:
    """The mean of each occupied cell's vertices, and which of the cells each vertex lies in."""
    _, cells, sizes = np.unique(np.floor(vertices / _CELL), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), 3))
    np.add.at(sums, cells, vertices)
    return sums / sizes[:, None], cells


def _distinct(corners: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, " _"]:
    """The faces that are still triangles; of those with the same corners, the first."""
    corners = np.sort(corners, axis=1)
    triangles = np.flatnonzero((np.diff(corners, axis=1) > 0).all(axis=1))
    _, first = np.unique(corners[triangles], axis=0, return_index=True)
    return triangles[np.sort(first)]
