from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, summary
from mtil.evaluation.results import write_json
from mtil.policies.card import Card
from mtil.policies.checkpoint import LoadedPolicy
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.sim.video import VideoWriter
from mtil.types import DatasetSpec, FeatureSpec, Task

NASTY = "<script>alert('drawer')</script>"
TASKS = ("drawer-close", "drawer-open", NASTY)
Make = Callable[..., Path]


def result(
    name: str = "run", *, tasks: Sequence[str] = TASKS, won: Sequence[int] = (4, 1, 3), **changes: object
) -> EvaluationResult:
    """Four episodes of each task, told by two sentences; the last ones fail."""
    protocol = {
        "suite": "toy",
        "seed": 3,
        "episodes_per_task": 4,
        "horizon": 20,
        "success": "the point near the goal",
        "condition": "language",
        "checkpoint": f"{name}/checkpoints/last.ckpt (step 40, averaged weights)",
        "path": f"{name}/checkpoints/last.ckpt",
        "step": 40,
        "weights": name,
    }
    outcomes = [
        Outcome(
            task,
            j,
            placement=100 * i + j,
            told=f"do {task}, {j % 2}",
            success=j < won[i],
            length=7 if j < won[i] else 20,
        )
        for i, task in enumerate(tasks)
        for j in range(4)
    ]
    return summary(EvaluationProtocol(**protocol | changes), outcomes)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def make_result() -> Callable[..., EvaluationResult]:
    return result


@pytest.fixture
def make_run(tmp_path: Path, toy_suite: str) -> Make:
    """Makes a run directory without checkpoint, of a name, seed and results by file name."""

    def make(
        name: str = "run", *, seed: int = 0, kind: str = "language", results: dict[str, EvaluationResult] | None = None
    ) -> Path:
        run = tmp_path / name
        run.mkdir(parents=True)
        policy = {"task_encoder": {"kind": kind}, "head": {"kind": "gaussian"}}
        config = {
            "seed": seed,
            "suite": "toy",
            "data": {"path": "nowhere"},
            "policy": policy,
            "trainer": {"max_steps": 40},
        }
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        (run / "metrics.csv").write_text(_metrics())
        for file, each in ({"plain": result(name)} if results is None else results).items():
            write_json(run / "evaluation" / f"{file}.json", each)
        return run

    return make


@pytest.fixture
def untrained() -> Callable[..., LoadedPolicy]:
    """Makes a policy of some tasks and a kind of task encoder, as if loaded; its sentences are embedded at random."""

    def make(encoder: dict[str, Any], tasks: Sequence[Task]) -> LoadedPolicy:
        action, state = (FeatureSpec(key, (2,), "float32", key) for key in ("action", "state"))
        spec = DatasetSpec(tuple(tasks), (state,), action, {key: (2,) * len(tasks) for key in ("action", "state")})
        config = PolicyConfig.model_validate({"task_encoder": encoder, "trunk": {"width": 8, "depth": 1}})
        torch.manual_seed(0)
        vectors = torch.randn(sum(len(task.instructions) for task in tasks), 6)
        policy = Policy(config, spec, state={"task_encoders._encoders.language.embeddings": vectors}).eval()
        return LoadedPolicy(policy, Card(config, spec, "toy"), Path("last.ckpt"), 40)

    return make


@pytest.fixture
def film() -> Callable[[Path], None]:
    """Writes a film of half a second."""

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = VideoWriter(path, fps=10)
        for brightness in range(0, 250, 50):
            writer.append(np.full((32, 32, 3), brightness, np.uint8))
        writer.save()

    return write


def _metrics() -> str:
    columns = ["train/nll", "val/nll", "val/action_error"]
    header = ["step", *columns, *(f"{column}/{task}" for column in columns for task in TASKS)]
    rows = [[step, *(-step / 10 for _ in header[1:])] for step in (10, 20, 30, 40)]
    return "".join(f"{','.join(map(str, row))}\n" for row in [header, *rows])
