import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from mtil.errors import OutputError, SimulatorError
from mtil.sim.slot import Reset, Transition
from mtil.sim.workers import EnvironmentPool, Lost
from mtil.types import CameraView


@pytest.fixture
def pool(toy_suite: str) -> Iterator[EnvironmentPool]:
    with EnvironmentPool(toy_suite, workers=2, camera="top", image_size=32) as pool:
        yield pool


def ask(pool: EnvironmentPool, commands: dict) -> dict[int, Transition]:
    """Send, and wait for every answer."""
    pool.send(commands)
    answers: dict[int, Transition] = {}
    while pool.busy:
        for slot, answer in pool.receive().items():
            assert isinstance(answer, Transition)
            answers[slot] = answer
    return answers


def step() -> np.ndarray:
    return np.ones(2, np.float32)


def test_slots_keep_apart_and_share_workers(pool: EnvironmentPool) -> None:
    first = ask(pool, {slot: Reset("far", placement=slot) for slot in range(4)})
    goals = np.array([first[slot].observation["goal"] for slot in range(4)])
    assert len(np.unique(goals, axis=0)) == 4
    processes = [first[slot].observation["process"][0] for slot in range(4)]
    assert processes[0] == processes[2] != processes[1] == processes[3]
    second = ask(pool, {0: step(), 3: step()})
    assert sorted(second) == [0, 3]
    np.testing.assert_array_equal(second[3].observation["goal"], goals[3])
    np.testing.assert_allclose(second[3].observation["position"], 0.25)


def test_observations_show_the_views_asked_for_filmed_or_not(toy_suite: str, tmp_path: Path) -> None:
    with EnvironmentPool(toy_suite, workers=1, camera="top", image_size=32) as pool:
        for video in (None, tmp_path / "film.mp4", None):
            for task in ("near", "far"):
                reset = Reset(task, placement=0, video=video, views=(CameraView("top", 10),))
                answers = [ask(pool, {0: reset})[0], ask(pool, {0: step()})[0]]
                images = [answer.observation["top_image"] for answer in answers]
                assert [image.shape for image in images] == [(10, 10, 3)] * 2
                assert [image.any() for image in images] == [False, False]
            image = ask(pool, {0: step()})[0].observation["top_image"]
            assert image[:, :1].all()
            assert not image[:, 1:].any()
            other = Reset("far", placement=0, views=(CameraView("top", 12),))
            assert ask(pool, {0: other})[0].observation["top_image"].shape == (12, 12, 3)


def test_workers_do_not_import_torch(pool: EnvironmentPool) -> None:
    answers = ask(pool, {slot: Reset("near", placement=0) for slot in range(2)})
    assert [answer.observation["process"][1] for answer in answers.values()] == [0, 0]


def test_an_episode_counts_its_steps_and_ends_at_the_horizon(pool: EnvironmentPool) -> None:
    assert ask(pool, {0: Reset("impossible", placement=0)})[0].steps == 0
    answers = [ask(pool, {0: step()})[0] for _ in range(20)]
    assert [answer.steps for answer in answers] == list(range(1, 21))
    assert [answer.done for answer in answers] == [False] * 19 + [True]
    assert not any(answer.success for answer in answers)


def test_an_episode_ends_at_success(pool: EnvironmentPool) -> None:
    observation = ask(pool, {0: Reset("near", placement=5)})[0].observation
    for _ in range(3):
        assert not ask(pool, {0: observation["goal"]})[0].done
    answer = ask(pool, {0: observation["goal"]})[0]
    assert (answer.steps, answer.success, answer.done) == (4, True, True)


def test_a_placement_decides_the_episode_whatever_came_before(pool: EnvironmentPool) -> None:
    def goal(task: str, placement: int) -> list[float]:
        return ask(pool, {0: Reset(task, placement)})[0].observation["goal"].tolist()

    first = goal("far", 7)
    assert goal("near", 3) != first
    assert goal("far", 7) == first


def test_an_episode_is_filmed_from_its_reset_to_its_end(pool: EnvironmentPool, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    ask(pool, {0: Reset("impossible", placement=0, video=film)})
    for _ in range(20):
        assert not film.exists()
        ask(pool, {0: step()})
    with av.open(str(film)) as container:
        assert container.streams.video[0].average_rate == 10
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    brightness = [frame.mean() for frame in shown]
    assert len(shown) == 21
    assert brightness == sorted(brightness)


def test_films_that_are_not_finished_leave_nothing(toy_suite: str, tmp_path: Path) -> None:
    with EnvironmentPool(toy_suite, workers=1, camera="top") as pool:
        ask(pool, {slot: Reset("far", placement=0, video=tmp_path / f"{slot}.mp4") for slot in range(2)})
        ask(pool, {0: Reset("far", placement=0)})
    assert not list(tmp_path.iterdir())


def test_an_environments_error_is_told_with_its_traceback_as_a_note(pool: EnvironmentPool) -> None:
    ask(pool, {0: Reset("broken", placement=0)})
    with pytest.raises(SimulatorError, match="broken: ZeroDivisionError: the world came to an end") as caught:
        ask(pool, {0: step()})
    assert "toy_suite.py" in caught.value.__notes__[0]


def test_errors_of_ours_arrive_as_they_are(pool: EnvironmentPool, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"film\.mp4: the video cannot be written"):
        ask(pool, {0: Reset("near", placement=0, video=tmp_path / "missing" / "film.mp4")})


def test_a_simulator_or_camera_that_does_not_exist(toy_suite: str, tmp_path: Path) -> None:
    with EnvironmentPool("toi", workers=1) as pool, pytest.raises(SimulatorError, match="'toi'; did you mean 'toy'"):
        ask(pool, {0: Reset("near", placement=0)})
    with (
        EnvironmentPool(toy_suite, workers=1, camera="topp") as pool,
        pytest.raises(SimulatorError, match="camera 'topp'; did you mean 'top'"),
    ):
        ask(pool, {0: Reset("near", placement=0, video=tmp_path / "film.mp4")})


def test_a_worker_that_dies_is_replaced_and_its_episodes_are_lost(pool: EnvironmentPool) -> None:
    ask(pool, {1: Reset("near", placement=0), 3: Reset("fatal", placement=0), 5: Reset("near", placement=0)})
    process = ask(pool, {0: Reset("near", placement=0)})[0].observation["process"][0]
    pool.send({1: step()})
    pool.send({3: step()})
    pool.send({5: step(), 0: step()})
    answers: dict[int, Transition | Lost] = {}
    while pool.busy:
        answers |= pool.receive()
    lost = {slot: answer for slot, answer in answers.items() if isinstance(answer, Lost)}
    assert lost == {slot: Lost("died (exit status 3)", suspect=slot == 3) for slot in (1, 3, 5)}
    assert ask(pool, {0: step()})[0].observation["process"][0] == process
    assert ask(pool, {1: Reset("near", placement=0)})[1].steps == 0


def test_episodes_that_have_ended_are_not_lost(pool: EnvironmentPool) -> None:
    answers = ask(pool, {slot: Reset("near", placement=5) for slot in (0, 2)})
    while not answers[0].done:
        answers |= ask(pool, {0: answers[2].observation["goal"]})
    os.kill(int(answers[0].observation["process"][0]), signal.SIGKILL)
    pool.send({2: step()})
    assert pool.receive() == {2: Lost("died (killed by SIGKILL)", suspect=True)}


def test_a_worker_that_hangs_is_replaced(toy_suite: str) -> None:
    with EnvironmentPool(toy_suite, workers=1, patience=2.0) as pool:
        process = ask(pool, {0: Reset("near", placement=0)})[0].observation["process"][0]
        os.kill(int(process), signal.SIGSTOP)
        pool.send({0: step()})
        assert pool.receive() == {0: Lost("hung for 2 s", suspect=True)}
        assert ask(pool, {0: Reset("near", placement=0)})[0].observation["process"][0] != process


def test_closing_leaves_no_process_even_while_one_works(toy_suite: str) -> None:
    with EnvironmentPool(toy_suite, workers=2) as pool:
        pool.send({0: Reset("near", placement=0)})
    assert not multiprocessing.active_children()


def test_the_environment_variables_are_put_back(toy_suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with EnvironmentPool(toy_suite, workers=1):
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert "MKL_NUM_THREADS" not in os.environ


INTERRUPTED = """
import sys
from mtil.sim.slot import Reset
from mtil.sim.workers import EnvironmentPool

if __name__ == "__main__":
    sys.path.insert(0, {toy!r})
    try:
        with EnvironmentPool("toy", workers=2) as pool:
            print("started", flush=True)
            while True:
                pool.send({{0: Reset("near", 0), 1: Reset("far", 0)}})
                while pool.busy:
                    pool.receive()
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize(
    ("signal_number", "delay"), [(signal.SIGINT, 0.0), (signal.SIGINT, 1.0), (signal.SIGKILL, 0.5)]
)
def test_no_process_outlives_its_parent(tmp_path: Path, signal_number: int, delay: float) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED.format(toy=str(Path(__file__).parents[1] / "evaluation" / "toy")))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    time.sleep(delay)
    if signal_number == signal.SIGINT:
        os.killpg(parent.pid, signal_number)  # as a terminal does: to the workers, too
    else:
        parent.kill()
    output, complaints = parent.communicate(timeout=20)  # ends when the workers, too, have let go of their output
    assert output == ("interrupted\n" if signal_number == signal.SIGINT else "")
    assert complaints == ""
