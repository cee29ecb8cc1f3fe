"""Laws that the experts obey in every state, however it came about."""

from collections.abc import Callable

import numpy as np
import pytest

from mtil.sim.fetch_experts import pick_and_place, push, reach

Expert = Callable[[dict[str, np.ndarray]], np.ndarray]

TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
EXPERTS = (push, pick_and_place)


def scene(hand: np.ndarray, block: np.ndarray, goal: np.ndarray, *, apart: float = 0.0) -> dict[str, np.ndarray]:
    """What is observed where the hand's fingers are so far apart."""
    vector = np.concatenate([hand, block, block - hand, [apart / 2, apart / 2], np.zeros(14)])
    return {"observation": vector, "achieved_goal": block, "desired_goal": goal}


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A hand, a block and a goal, close together or far apart, and the fingers' distance."""
    rng = np.random.default_rng(seed)
    middle = np.array([1.3, 0.75, 0.43])
    hand, block, goal = middle + rng.uniform(-0.2, 0.2, (3, 3)) * rng.choice([0.05, 1.0], (3, 1))
    return hand, block, goal, rng.uniform(0.0, 0.1)


@pytest.mark.parametrize("expert", EXPERTS)
def test_where_the_table_stands_does_not_matter(expert: Expert) -> None:
    for seed in range(200):
        hand, block, goal, apart = drawn(seed)
        there = expert(scene(hand, block, goal, apart=apart))
        elsewhere = expert(scene(hand + 0.5, block + 0.5, goal + 0.5, apart=apart))
        assert np.allclose(there, elsewhere, atol=1e-5)


@pytest.mark.parametrize("expert", EXPERTS)
def test_a_scene_turned_by_a_quarter_turns_the_action(expert: Expert) -> None:
    for seed in range(200):
        hand, block, goal, apart = drawn(seed)
        action = expert(scene(hand, block, goal, apart=apart))
        turned = expert(scene(TURN @ hand, TURN @ block, TURN @ goal, apart=apart))
        assert np.allclose(turned, [*(TURN @ action[:3]), action[3]], atol=1e-5)


@pytest.mark.parametrize("expert", [reach, *EXPERTS])
def test_actions_lie_in_the_action_space(expert: Expert) -> None:
    for seed in range(200):
        hand, block, goal, apart = drawn(seed)
        assert np.abs(expert(scene(hand, block, goal, apart=apart))).max() <= 1


@pytest.mark.parametrize("expert", [reach, *EXPERTS])
def test_at_the_goal_the_hand_stays(expert: Expert) -> None:
    goal = np.array([1.3, 0.75, 0.425])
    assert not expert(scene(goal, goal, goal, apart=0.05))[:3].any()


def test_the_block_is_gripped_only_between_the_fingers() -> None:
    block, goal = np.array([1.3, 0.75, 0.425]), np.array([1.2, 0.7, 0.6])
    above = np.array([0.0, 0.0, 0.06])
    assert pick_and_place(scene(block, block, goal, apart=0.1))[3] == -1
    assert pick_and_place(scene(block + above, block, goal, apart=0.1))[3] == 1
    assert np.dot(pick_and_place(scene(block, block, goal, apart=0.048))[:3], goal - block) > 0


def test_the_block_is_pushed_towards_the_goal_from_behind_it_alone() -> None:
    block, goal = np.array([1.3, 0.75, 0.425]), np.array([1.4, 0.75, 0.425])
    ahead = np.array([0.05, 0.0, 0.0])
    assert push(scene(block - ahead, block, goal))[0] > 0.9
    assert push(scene(block + ahead, block, goal))[2] > 0.9
