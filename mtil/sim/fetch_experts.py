"""Scripted experts for Fetch. Each looks at one observation alone, so that it can label any state it is brought into.

Lengths are in metres; an action of 1 moves the hand by about 3 cm. The block's edges are 5 cm long.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, "3"]
Action = Float[np.ndarray, "4"]
Observation = Mapping[str, np.ndarray]

_GAIN = 15.0  # actions a metre; much more, and the hand swings
_OPEN, _STILL, _CLOSE = 1.0, 0.0, -1.0
_CLEAR = 0.08  # of the hand above the block, at which its fingers pass over it
_BEHIND = 0.065  # of the hand from the block's centre, where it comes down to push
_THERE = 0.01  # of the block from the goal, where its direction means nothing
_NEAR = 0.02  # of the hand from the block's centre, sideways and in height, where it can be gripped
_HELD = 0.053  # between the fingers, around the block
_WIDE = 0.08  # between the fingers, to come down around it


def reach(observation: Observation) -> Action:
    """Straight to the goal."""
    return _move(observation["desired_goal"] - observation["achieved_goal"], _STILL)


def push(observation: Observation) -> Action:
    """Over the block, down behind it as the goal sees it, and towards the goal."""
    hand, block, goal = _scene(observation)
    way = (goal - block) * (1, 1, 0)
    left = np.linalg.norm(way)
    if left < _THERE:
        return _move(np.zeros(3), _STILL)
    ahead = way / left
    offset = hand - block
    along = offset @ ahead
    aside = (offset - along * ahead) * (1, 1, 0)
    down = np.array([0.0, 0.0, -offset[2]])
    if along < -0.02 and np.linalg.norm(aside) < 0.02 and offset[2] < 0.03:
        return _move(way - 3 * aside + down, _STILL)
    back = -ahead * _BEHIND - offset * (1, 1, 0)
    if np.linalg.norm(back) < 0.02:
        return _move(back + down, _STILL)
    return _move(_over(back, offset), _STILL)


def pick_and_place(observation: Observation) -> Action:
    """Open over the block, down around it, closed, and to the goal with it."""
    hand, block, goal = _scene(observation)
    offset = hand - block
    apart = observation["observation"][9:11].sum()
    aside, above = np.linalg.norm(offset[:2]), abs(offset[2])
    if apart < _HELD and max(aside, above) < 1.5 * _NEAR:
        return _move(goal - block, _CLOSE)
    if max(aside, above) < _NEAR:
        return _move(-offset, _CLOSE)
    if apart > _WIDE and aside < 1.25 * _NEAR:
        return _move(-offset, _OPEN)
    return _move(_over(-offset * (1, 1, 0), offset), _OPEN)


def _scene(observation: Observation) -> tuple[Point, Point, Point]:
    """Where the hand, the block and the goal are."""
    return (
        observation["observation"][:3].astype(np.float64),
        observation["achieved_goal"].astype(np.float64),
        observation["desired_goal"].astype(np.float64),
    )


def _over(way: Point, offset: Point) -> Point:
    """A way above the block: up first, and across when the fingers are clear of it."""
    up = np.array([0.0, 0.0, _CLEAR - offset[2]])
    return up if up[2] > 0.03 else way + up


def _move(way: Point, gripper: float) -> Action:
    """The action for a way to go, shortened without turning it."""
    action = _GAIN * way
    return np.append(action / max(1.0, np.abs(action).max()), gripper).astype(np.float32)
