from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.clips import ClipDraws, Clips, clips_of, held_out_clips
from mtil.data.config import ClipsConfig
from mtil.data.frames import Frames
from mtil.data.store import DemoStore
from mtil.data.videos import Videos
from mtil.data.windows import spread
from mtil.errors import DatasetError

FRAMES = 3


@given(st.integers(1, 40), st.lists(st.floats(-0.499, 0.499), min_size=1, max_size=12))
def test_frames_that_stray_stay_in_the_clip_and_in_order(steps: int, stray: list[float]) -> None:
    at = spread(steps, len(stray), stray=np.array(stray))
    assert at.min() >= 0
    assert at.max() < steps
    assert (np.diff(at) >= 0).all()
    assert len(stray) > 1 or at.tolist() == [0]


@given(st.integers(1, 40), st.integers(1, 12))
def test_frames_spread_from_the_first_to_the_last(steps: int, frames: int) -> None:
    at = spread(steps, frames)
    assert len(at) == frames
    assert at[0] == 0
    assert frames == 1 or at[-1] == steps - 1
    gaps = np.diff(at)
    assert not len(gaps) or (gaps.min() >= 0 and gaps.max() - gaps.min() <= 1)


@pytest.fixture
def store(three_tasks: Path) -> DemoStore:
    return DemoStore.open(three_tasks, keys=["proprio"], clips=ClipsConfig(images="camera", shift=0))


def test_frames_are_of_the_size_asked_for(three_tasks: Path) -> None:
    small = DemoStore.open(three_tasks, keys=["proprio"], clips=ClipsConfig(images="camera", size=1, shift=0))
    assert small.clips is not None
    assert small.spec.clip is not None
    assert small.clips.shape == small.spec.clip.shape == (1, 1, 3)
    assert clips_of(small, torch.arange(2), frames=FRAMES).frames_of(np.arange(2)).shape == (2, FRAMES, 1, 1, 3)


def test_a_clip_is_not_moved_out_of_sight(three_tasks: Path) -> None:
    with pytest.raises(DatasetError, match=r"data\.clips\.shift: expected less than the 2 pixels of a frame, found 2"):
        DemoStore.open(three_tasks, clips=ClipsConfig(images="camera", shift=2))


def clips_with(task: list[int], videos: int) -> Clips:
    """Clips of these tasks, of which the last ones are videos; nothing is to be taken from them."""
    episodes = np.arange(len(task) - videos)
    return Clips(np.array(task), FRAMES, Frames.__new__(Frames), episodes, episodes + 1)


def shares(clips: int) -> np.ndarray:
    return np.random.default_rng(0).random((clips, FRAMES))


def test_an_episode_is_shown_as_its_camera_saw_it(store: DemoStore) -> None:
    episodes = torch.tensor([4, 1])
    found = clips_of(store, episodes, frames=FRAMES).take(np.array([1, 0, 1]), shares(3))
    assert store.clips is not None
    for clip, episode in zip(found, (1, 4, 1), strict=True):
        rows = int(store.start[episode]) + spread(int(store.length[episode]), FRAMES)
        assert torch.equal(clip, store.clips.take(rows[None])[0])


def test_frames_stray_within_their_bounds(store: DemoStore) -> None:
    episodes = store.length.argsort(descending=True, stable=True)[:1]
    clips = clips_of(store, episodes, frames=FRAMES, jitter=0.5)
    start, length = int(clips.start[0]), int(clips.length[0])
    for share, frame in ((0.0, -0.5), (0.5, 0.0), (1.0, 0.5)):
        at = (np.arange(FRAMES) + frame) * (length - 1) / (FRAMES - 1)
        rows = start + at.clip(0, length - 1).round().astype(np.int64)
        found = clips.take(np.array([0]), np.full((1, FRAMES), share))
        assert torch.equal(found, clips.images.take(rows[None]))
    assert torch.equal(clips.frames_of(np.array([0])), clips.take(np.array([0]), np.full((1, FRAMES), 0.5)))


def test_what_was_prepared_is_handed_out_in_place_of_frames(store: DemoStore) -> None:
    clips = clips_of(store, torch.arange(len(store.length)), frames=FRAMES)
    asked = []

    def brightness(few: Sequence[np.ndarray]) -> torch.Tensor:
        asked.append(len(few))
        return torch.stack([torch.from_numpy(clip).float().mean((1, 2, 3)) for clip in few])

    prepared = clips.prepared_by(brightness)
    assert sum(asked) == len(clips) == 30
    assert max(asked) < 16
    chosen = np.array([7, 0, 29])
    expected = clips.take(chosen, shares(3)).float().mean((2, 3, 4))
    torch.testing.assert_close(prepared.take(chosen, shares(3)), expected)
    assert torch.equal(prepared.frames_of(chosen), clips.take(chosen, shares(3)))


def test_videos_come_after_the_episodes(store: DemoStore) -> None:
    assert store.clips is not None
    frames = np.random.default_rng(0).integers(256, size=(2, FRAMES, *store.clips.shape), dtype=np.uint8)
    videos = Videos(np.array([2, 0]), ("push/a.mp4", "lift/b.mp4"), frames)
    clips = clips_of(store, torch.arange(3), frames=FRAMES, videos=videos)
    found = clips.take(np.array([4, 0, 3]), shares(3))
    assert np.array_equal(found[[0, 2]].numpy(), frames[[1, 0]])
    assert torch.equal(found[1], clips.take(np.array([0]), shares(1))[0])
    assert clips.task.tolist()[3:] == [2, 0]
    assert clips.episode(np.array([2, 3, 0, 4])).tolist() == [2, -1, 0, -1]


def test_of_a_task_with_one_held_out_episode_the_trained_ones_are_shown_too(store: DemoStore) -> None:
    held_out = (store.task == 0).nonzero().squeeze(1)[:1]
    held_out = torch.cat([held_out, (store.task == 1).nonzero().squeeze(1)[:2]])
    train = torch.tensor([episode for episode in range(len(store.length)) if episode not in held_out])
    clips = held_out_clips(store, train, held_out, frames=FRAMES)
    counts = Counter(clips.task.tolist())
    of_task = Counter(store.task.tolist())
    assert counts == {0: of_task[0], 1: 2, 2: of_task[2]}
    assert clips.start[:3].tolist() == store.start[held_out].tolist()
    assert store.clips is not None
    frames = np.zeros((3, FRAMES, *store.clips.shape), np.uint8)
    videos = Videos(np.array([1, 2, 0]), ("push/a.mp4", "turn/b.mp4", "lift/c.mp4"), frames)
    clips = held_out_clips(store, train, held_out, frames=FRAMES, videos=videos)
    assert clips.task[len(clips.start) :].tolist() == [2, 0]


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_nobody_is_shown_what_he_imitates(task: list[int], videos: int, seed: int) -> None:
    clips = clips_with(task, min(videos, len(task)))
    draws, rng = ClipDraws(clips, 3), np.random.default_rng(seed)
    episode = np.repeat(np.arange(len(clips.start)), 4)
    chosen = draws.draw(clips.task[episode], episode, rng.random((3, 2)))
    for own, clip in zip(episode.tolist(), chosen.tolist(), strict=True):
        of_task = [i for i, other in enumerate(task) if other == task[own]]
        if of_task == [own]:
            assert clip == -1
        else:
            assert clip != own
            assert clip in of_task


def test_few_clips_serve_a_batch() -> None:
    """One a task, and one more where that is the clip of somebody's own episode."""
    clips = clips_with([0] * 10 + [1] * 10, videos=0)
    draws, rng = ClipDraws(clips, 2), np.random.default_rng(0)
    for _ in range(50):
        episode = rng.integers(20, size=64)
        chosen = draws.draw(clips.task[episode], episode, rng.random((2, 2)))
        assert len(set(chosen.tolist())) <= 4


def test_every_clip_has_its_turn() -> None:
    clips = clips_with([0] * 4 + [1] * 3, videos=2)
    draws, rng = ClipDraws(clips, 2), np.random.default_rng(0)
    task, stranger = np.array([0, 1]), np.array([-2, -2])
    found = np.array([draws.draw(task, stranger, rng.random((2, 2))) for _ in range(2000)])
    np.testing.assert_allclose(np.bincount(found[:, 0], minlength=4) / 2000, 1 / 4, atol=0.04)
    np.testing.assert_allclose(np.bincount(found[:, 1], minlength=7)[4:] / 2000, 1 / 3, atol=0.04)
    own = np.array([draws.draw(task[:1], np.array([0]), rng.random((2, 2)))[0] for _ in range(3000)])
    np.testing.assert_allclose(np.bincount(own, minlength=4) / 3000, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.04)


def test_a_task_with_no_clip_but_a_video() -> None:
    clips = clips_with([0, 1, 1, 2], videos=1)
    draws = ClipDraws(clips, 4)
    assert draws.count.tolist() == [0, 2, 1, 0]
    everyone = draws.draw(np.arange(4), np.array([0, 1, -2, -2]), np.full((4, 2), 0.5))
    assert everyone.tolist()[0] == everyone.tolist()[3] == -1
    assert everyone[2] == 3
