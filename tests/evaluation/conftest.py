from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, summary
from mtil.evaluation.rollout import Observation
from mtil.policies.card import Card
from mtil.policies.checkpoint import CARD
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.sim.base import load
from mtil.types import DatasetSpec, FeatureSpec, Task

Save = Callable[..., Path]
ONE_HOT = {"task_encoder": {"kind": "one_hot", "width": 4}, "trunk": {"width": 16, "depth": 1}}


@pytest.fixture
def result() -> EvaluationResult:
    """Two tasks of a toy, two episodes each."""
    protocol = EvaluationProtocol(
        suite="toy",
        seed=3,
        episodes_per_task=2,
        horizon=20,
        success="the point near the goal",
        condition="language",
        checkpoint="runs/toy/checkpoints/last.ckpt",
    )
    ended = {"stick-pull": [True, True], "handle-press-side": [True, False]}
    outcomes = [
        Outcome(task, episode, placement=episode, told=f"do {task}", success=success, length=7)
        for task, row in ended.items()
        for episode, success in enumerate(row)
    ]
    return summary(protocol, outcomes)


@pytest.fixture
def trained() -> Callable[..., EvaluationResult]:
    """Results of trainings of one kind on the same placements, by seed."""

    def made(
        *, seed: int, rate: float = 0.85, tasks: Sequence[str] = ("push", "reach", "door"), episodes: int = 30
    ) -> EvaluationResult:
        rng = np.random.default_rng(seed)
        protocol = EvaluationProtocol(
            suite="toy",
            seed=0,
            episodes_per_task=episodes,
            horizon=20,
            success="the point near the goal",
            condition="language",
            checkpoint=f"runs/toy-{seed}/checkpoints/last.ckpt",
            weights=f"{seed}-{rate}",
        )
        outcomes = [
            Outcome(task, episode, placement=episode, told=f"do {task}", success=bool(rng.random() < rate), length=7)
            for task in tasks
            for episode in range(episodes)
        ]
        return summary(protocol, outcomes)

    return made


class Controller:
    """The toy's expert in every slot, its strides multiplied by z; it keeps the order of tasks in each slot."""

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self.tasks: list[list[str]] = [[] for _ in range(slots)]
        self._gains = [0.0] * slots
        self._expert = load("toy").expert("near") or pytest.fail("the toy has an expert")

    def reset(self, row: int, z: Tensor, task: str) -> None:
        self._gains[row] = float(z[0])
        self.tasks[row].append(task)

    def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
        assert len(observations) == self.slots
        return [
            None if observation is None else np.float32(gain) * self._expert(observation)
            for observation, gain in zip(observations, self._gains, strict=True)
        ]


@pytest.fixture
def controller(toy_suite: str) -> type[Controller]:
    return Controller


@pytest.fixture(scope="session")
def save() -> Save:
    """Writes a policy as a training does after 12 steps."""

    def save(policy: Policy, path: Path, *, suite: str | None) -> Path:
        state = {f"policy.{name}": value for name, value in policy.state_dict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        card = Card(policy.config, policy.spec, suite).to_json()
        torch.save({"state_dict": state, "global_step": 12, CARD: card}, path)
        return path

    return save


@pytest.fixture(scope="session")
def apprentice() -> Policy:
    """Knows three tasks, two of them the toy's; it has learned a little, so that its episodes end in many ways."""
    position, goal = (FeatureSpec(key, (2,), "float32", "state") for key in ("position", "goal"))
    action = FeatureSpec("actions", (2,), "float32", "action")
    widths = {feature.key: (2, 2, 2) for feature in (position, goal, action)}
    spec = DatasetSpec((Task("far"), Task("elsewhere"), Task("near")), (position, goal), action, widths)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = Policy(PolicyConfig.model_validate(ONE_HOT), spec)
        optimizer = torch.optim.Adam(policy.parameters(), 1e-2)
        for _ in range(80):
            here, there = 3 * torch.randn(2, 64, 1, 2)
            way = (there - here)[:, 0]
            mask = dict.fromkeys(("position", "goal"), torch.ones(64, 2, dtype=torch.bool))
            found = policy(
                {"position": here, "goal": there}, mask, policy.task_encoders["one_hot"](torch.randint(0, 3, (64,)))
            )
            (found.mode[:, 0] - way / way.norm(dim=1, keepdim=True)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return policy.eval()


@pytest.fixture
def checkpoint(apprentice: Policy, save: Save, toy_suite: str, tmp_path: Path) -> Path:
    """The apprentice's, in no run directory."""
    return save(apprentice, tmp_path / "toy.ckpt", suite=toy_suite)


@pytest.fixture
def run_directory(apprentice: Policy, save: Save, toy_suite: str, tmp_path: Path) -> Path:
    """The apprentice's training."""
    save(apprentice, tmp_path / "run" / "checkpoints" / "last.ckpt", suite=toy_suite)
    return tmp_path / "run"
