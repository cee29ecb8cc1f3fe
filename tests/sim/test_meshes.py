"""Fewer faces, the same picture, and physics untouched."""

# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np
import pytest

from mtil.sim.base import load
from mtil.sim.meshes import coarsened
from mtil.sim.rendering import OffscreenCamera


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return load("metaworld-mt10").make("push-v3", camera="corner2").unwrapped._env.model


def test_only_large_meshes_lose_faces_and_few_stay(model: mujoco.MjModel) -> None:
    before, after = model.mesh_facenum.copy(), coarsened(model).mesh_facenum
    large = before > 2000
    assert large.any()
    assert not large.all()
    assert (after[large] > 0).all()
    assert after[large].sum() < before[large].sum() / 3
    assert (after[~large] == before[~large]).all()


def test_the_model_itself_stays_as_it_is(model: mujoco.MjModel) -> None:
    vertices, faces = model.mesh_vert.copy(), model.mesh_face.copy()
    coarsened(model)
    assert np.array_equal(model.mesh_vert, vertices)
    assert np.array_equal(model.mesh_face, faces)


def test_faces_that_stay_are_triangles_within_the_old_mesh(model: mujoco.MjModel) -> None:
    coarse = coarsened(model)
    for mesh in range(model.nmesh):
        vertices = slice(model.mesh_vertadr[mesh], model.mesh_vertadr[mesh] + model.mesh_vertnum[mesh])
        old, new = model.mesh_vert[vertices], coarse.mesh_vert[vertices]
        assert (new >= old.min(0) - 1e-6).all()
        assert (new <= old.max(0) + 1e-6).all()
        assert np.abs(new - old).max() < 0.01 + 1e-6
        first = coarse.mesh_faceadr[mesh]
        a, b, c = (new[corner] for corner in coarse.mesh_face[first : first + coarse.mesh_facenum[mesh]].T)
        if model.mesh_facenum[mesh] > 2000:
            assert (np.abs(a - b).max(1) > 0).all()
            assert (np.abs(b - c).max(1) > 0).all()
            assert (np.abs(c - a).max(1) > 0).all()


def test_the_picture_stays_the_same_but_for_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = []
    for coarsen in (coarsened, lambda model: model):
        monkeypatch.setattr("mtil.sim.canvas.coarsened", coarsen)
        env = load("metaworld-mt10").make("push-v3", camera="corner2").unwrapped
        env.reset(seed=0)
        camera = OffscreenCamera(env._env.model, name="corner", size=84, samples=2)
        pictures.append(camera.image(env._env.data).astype(int))
        camera.close()
        env.close()
    coarse, fine = pictures
    assert np.abs(coarse - fine).mean() < 1
    assert (np.abs(coarse - fine).max(-1) > 30).mean() < 0.02
