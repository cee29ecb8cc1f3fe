"""The client, and what docs/serving.md shows of it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtil.serving.client import Client

DOCS = Path(__file__).parents[2] / "docs" / "serving.md"
EXAMPLE, ASYNCHRONOUS, WHOLE = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


class Robot:
    """One that sees the number of its step, and remembers what it did."""

    period = 1e3  # so slow that an answer never takes more than one step

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.done: list[np.ndarray] = []

    def observe(self) -> dict[str, Any]:
        return seen(len(self.done))

    def step(self, action: np.ndarray) -> None:
        self.done.append(action)

    def works(self) -> bool:
        return len(self.done) < self._steps


def seen(step: int) -> dict[str, Any]:
    return {"proprio": np.full(3, step), "front_image": np.full((16, 16, 3), step, np.uint8)}


def test_acting_while_the_next_chunk_is_on_its_way(served: Any) -> None:
    """The documented loop: from step 1 on, each action is the second of the chunk that its predecessor's step gave."""
    robot = Robot(steps=5)
    with served.client() as policy:
        policy.reset("wide", kind="one_hot")
        exec(ASYNCHRONOUS, {"policy": policy, "robot": robot})
    actor = served.actor("wide")
    first, *chunks = [actor.chunks([seen(step)])[0] for step in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(robot.done, [first[0], *(chunk[1] for chunk in chunks)], strict=True)


def test_the_example_needs_no_more_than_it_says(served: Any) -> None:
    """It is of Meta-World's sizes and port; only those are changed here."""
    here = EXAMPLE.replace("7145", str(served.port)).replace("drawer-open-v3", "wide")
    here = here.replace("[0.0, 0.6, 0.2, 1.0]", "[0.0, 0.6, 0.2]").replace("open the drawer", "stir the pot")
    here = here.replace('"goal": [', '"front_image": np.zeros((16, 16, 3), np.uint8), "goal": [')
    found: dict[str, Any] = {"np": np}
    exec(here, found)
    found["policy"].close()
    assert found["action"].shape == (2,)


def test_the_protocol_is_as_it_is_documented(served: Any) -> None:
    """The client of twenty lines speaks it."""
    here = (
        WHOLE.replace("7145", str(served.port))
        .replace("drawer-open-v3", "wide")
        .replace("proprio=np.zeros(4", "proprio=np.zeros(3")
    )
    here = here.replace(
        'objects=np.zeros(14, "<f4"), goal=np.zeros(3, "<f4")', 'front_image=np.zeros((16, 16, 3), "|u1")'
    )
    found: dict[str, Any] = {}
    exec(here, found)
    for each in ("connection", "peer"):
        found[each].close()
    with served.client() as client:
        client.reset("wide")
        np.testing.assert_array_equal(found["action"], client.act(seen(0)), strict=True)


def test_a_server_of_another_version(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtil.serving.client.VERSION", 2)
    with pytest.raises(RuntimeError, match="expected a server of version 2, found 1"):
        Client(served.host, served.port)


def test_it_needs_numpy_alone(tmp_path: Path) -> None:
    """Copied elsewhere, it is whole."""
    source = Path(sys.modules[Client.__module__].__file__ or "")
    (tmp_path / "client.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    check = "import sys, client; print(sorted({'mtil', 'torch', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_only_precision_is_lost(served: Any) -> None:
    observation = served.see("wide")
    with served.client() as client:
        client.reset("wide", kind="one_hot")
        exact = client.act(observation)
        client.reset("wide", kind="one_hot")
        assert np.array_equal(client.act(observation | {"proprio": observation["proprio"].tolist()}), exact)
        with pytest.raises(TypeError, match="Cannot cast array data from dtype"):
            client.act(observation | {"front_image": observation["front_image"] / 255})


def test_actions_are_the_callers(served: Any) -> None:
    with served.client() as client:
        client.reset("wide", kind="one_hot")
        client.act(served.see("wide"))[:] = 0
