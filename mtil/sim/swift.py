"""Meta-World's environments, sparing what wastes time. All numbers are Meta-World's, to the bit."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from functools import cache, partial
from inspect import getmembers, isfunction
from types import FunctionType, SimpleNamespace
from typing import Any, cast

import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.utils import reward_utils
from scipy.spatial.transform import Rotation

_KEPT = 16  # compiled models
_PADS = ("leftpad_geom", "rightpad_geom")


@cache
def swift(env: type[SawyerXYZEnv], *, seen: bool) -> type[SawyerXYZEnv]:
    """A task's environment as it is, but faster, and faster still if it is never to be seen by a camera."""
    swifter = {
        name: FunctionType(
            method.__code__, method.__globals__ | _SWIFTER, name, method.__defaults__, method.__closure__
        )
        for name, method in getmembers(env, isfunction)
        if name not in vars(_Swift) and not _SWIFTER.keys().isdisjoint(method.__code__.co_names)
    }
    return type(env.__name__, (_Swift, env), swifter | {"_seen": seen})


class _Swift(SawyerXYZEnv):
    """What is done in another way.

    The model is compiled once in a process, which takes most of an environment's making, and copied. The hand is not
    moved to where it starts, which takes most of a reset, while the placement is only being drawn. And a step spends
    less on looking up what touches what, on putting an observation together, and on what is there for the eye alone.
    """

    _seen: bool

    def _initialize_simulation(self) -> tuple[Any, Any]:
        compile_model = super()._initialize_simulation if self._seen else self._unseen
        model = copy(_model((self.fullpath, self._seen), compile_model))
        return model, mujoco.MjData(model)

    def _unseen(self) -> tuple[Any, Any]:
        """The model without its visual shapes, less those that have a name: some tasks look where they are."""
        spec = mujoco.MjSpec.from_file(self.fullpath)
        spec.compiler.discardvisual = True
        named = [geom.name for geom in spec.geoms if geom.name]
        geoms, numbers = [mujoco.mjtObj.mjOBJ_GEOM] * len(named), [0.0] * len(named)
        spec.add_tuple(name="kept", objtype=geoms, objname=named, objprm=numbers)  # what is referred to stays
        model = spec.compile()
        return model, mujoco.MjData(model)

    def _reset_hand(self, steps: int = 50) -> None:
        drawing = not self._freeze_rand_vec
        if drawing:
            mujoco.mj_forward(self.model, self.data)
        super()._reset_hand(0 if drawing else steps)

    def _get_curr_obs_combined_no_goal(self) -> np.ndarray:
        found = np.zeros(4 + self._obs_obj_max_len)
        apart = np.linalg.norm(self.data.body("rightclaw").xpos - self.data.body("leftclaw").xpos)
        found[:3], found[3] = self.get_endeff_pos(), min(apart / 0.1, 1.0)
        places, turns = self._get_pos_objects().reshape(-1, 3), self._get_quat_objects().reshape(-1, 4)
        objects = np.concatenate([places, turns], axis=1).ravel()
        found[4 : 4 + len(objects)] = objects
        return found

    def touching_object(self, object_geom_id: int) -> bool:
        contact = self.data.contact
        with_object = (contact.geom == object_geom_id).any(1)
        return all(self._force(with_object & (contact.geom == self.data.geom(pad).id).any(1)) > 0 for pad in _PADS)

    def _force(self, contacts: np.ndarray) -> float:
        return sum(self.data.efc_force[self.data.contact.efc_address[contacts]], start=0.0)


def _tolerance(
    x: Any,
    bounds: tuple[Any, Any] = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: float = 0.1,
) -> Any:
    """`reward_utils.tolerance`, which spends ten microseconds on conditions that a single number does not need."""
    low, high = bounds
    if not np.isscalar(x) or not low <= high or not margin > 0:
        return reward_utils.tolerance(cast("Any", x), bounds, margin, sigmoid, value_at_margin)
    if low <= x <= high:
        return 1.0
    beyond = low - x if x < low else x - high
    return float(reward_utils._sigmoids(np.float64(beyond / margin), value_at_margin, sigmoid))


_SWIFTER = {
    # MuJoCo's rotations are rotations: no need to look, for sixty microseconds a step.
    "Rotation": SimpleNamespace(from_matrix=partial(Rotation.from_matrix, assume_valid=True)),
    "reward_utils": SimpleNamespace(**vars(reward_utils) | {"tolerance": _tolerance}),
}
"""What the environments' methods find under these names, instead of what their modules import."""


_models: OrderedDict[tuple[str, bool], Any] = OrderedDict()


def _model(key: tuple[str, bool], compile_model: Callable[[], tuple[Any, Any]]) -> Any:
    """The model of a file, to be seen or not, as compiled; the last few are kept, of up to 20 MB each."""
    if key not in _models:
        _models[key], _ = compile_model()
    _models.move_to_end(key)
    while len(_models) > _KEPT:
        _models.popitem(last=False)
    return _models[key]
