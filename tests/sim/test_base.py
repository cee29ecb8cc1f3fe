"""Placements are functions of their arguments and the streams never meet; simulators are found by name."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.errors import SimulatorError
from mtil.sim.base import Stream, load, names, placement

STREAMS: tuple[Stream, ...] = get_args(Stream)

seeds = st.integers(0, 2**64)
episodes = st.integers(0, 10_000)
tasks = st.sampled_from(["reach-v3", "push-v3", "door-open-v3"])


@given(st.permutations(STREAMS), seeds, seeds, tasks, tasks, episodes, episodes)
def test_streams_never_meet(
    streams: list[Stream], seed_a: int, seed_b: int, task_a: str, task_b: str, a: int, b: int
) -> None:
    assert placement(streams[0], seed_a, task_a, a) != placement(streams[1], seed_b, task_b, b)


@given(seeds, tasks, episodes)
def test_the_highest_and_the_lowest_bit_tell_the_stream(seed: int, task: str, episode: int) -> None:
    values = {stream: placement(stream, seed, task, episode) for stream in STREAMS}
    assert {stream: (value >> 63, value & 1) for stream, value in values.items()} == {
        "collection": (0, 0),
        "evaluation": (0, 1),
        "validation": (1, 0),
    }


def test_placements_stay_what_they_were() -> None:
    """Demonstrations on disk and tables in print began from them."""
    assert placement("collection", 0, "reach-v3", 0) == 6172779759541300584
    assert placement("evaluation", 7, "push-v3", 49) == 306895199870910747


@given(seeds, tasks, episodes)
def test_a_placement_is_a_function_of_its_arguments_in_63_bits(seed: int, task: str, episode: int) -> None:
    value = placement("collection", seed, task, episode)
    assert 0 <= value < 2**63
    assert value == placement("collection", seed, task, episode)


def test_seed_task_and_episode_each_matter() -> None:
    values = {
        placement("evaluation", seed, task, episode)
        for seed in range(20)
        for task in ("reach-v3", "push-v3")
        for episode in range(50)
    }
    assert len(values) == 20 * 2 * 50


def test_suites_are_found_by_name() -> None:
    assert {"fetch", "metaworld-mt10", "metaworld-mt50", "metaworld-ml45"} <= set(names())
    assert all(load(name).name == name for name in ("fetch", "metaworld-mt10"))


def test_an_unknown_simulator_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SimulatorError, match=r"unknown simulator 'metaworld-mt1'; did you mean .*metaworld-mt50"):
        load("metaworld-mt1")


@pytest.mark.parametrize(
    ("suite", "extra", "missing"),
    [("metaworld-mt10", "metaworld", "metaworld"), ("fetch", "fetch", "gymnasium_robotics.envs.fetch.fetch_env")],
)
def test_a_simulator_that_is_not_installed_is_answered_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, suite: str, extra: str, missing: str
) -> None:
    monkeypatch.delitem(sys.modules, f"mtil.sim.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SimulatorError, match=rf'pip install "mtil\[{extra}\]"'):
        load(suite)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("mtil.sim.base", ["torch", "mujoco", "metaworld"]),
        ("mtil.sim.metaworld", ["torch"]),
        ("mtil.sim.fetch", ["torch", "metaworld"]),
    ],
)
def test_imports_stay_light(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print(*(name for name in {absent} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not found.stdout.strip()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:Suite", r"simulator 'theirs': no_such_module:Suite cannot be imported \(No module named"),
        ("mtil.types:Suite", r"simulator 'theirs': mtil.types:Suite cannot be imported \(.*no attribute 'Suite'\)"),
        ("builtins:dict", "simulator 'theirs': expected builtins:dict to make a mtil.sim.base.Simulator, found dict"),
    ],
)
def test_an_entry_point_that_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, message: str
) -> None:
    package = tmp_path / "theirs-0.1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 0.1\n")
    (package / "entry_points.txt").write_text(f"[mtil.simulators]\ntheirs = {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "theirs" in names()
    with pytest.raises(SimulatorError, match=message):
        load("theirs")
