from pathlib import Path

import numpy as np
import pytest
import torch

from mtil.data.clips import Clips, clips_of
from mtil.data.config import ClipsConfig, FinalGoal
from mtil.data.goals import Goals
from mtil.data.kinds import DescriptorKind
from mtil.data.sampling import Draw
from mtil.data.store import DemoStore
from mtil.data.telling import Telling, Told
from mtil.data.windows import Windows
from mtil.errors import DatasetError

KINDS: dict[DescriptorKind, float] = {"one_hot": 1.0, "video": 1.0}


@pytest.fixture
def store(three_tasks: Path) -> DemoStore:
    return DemoStore.open(three_tasks, keys=["proprio"], clips=ClipsConfig(images="camera", shift=0))


@pytest.fixture
def clips(store: DemoStore) -> Clips:
    return clips_of(store, torch.arange(len(store.length)), frames=2)


def told(telling: Telling, store: DemoStore, *, step: int = 0, rank: int = 0, world_size: int = 1) -> Told:
    """Of a batch that holds every episode once."""
    draw = Draw.part(step, torch.arange(len(store.length)), rank=rank, world_size=world_size)
    episode = draw.windows.numpy()
    return telling(store.task.numpy()[episode], episode, draw)


def test_an_example_conditioned_on_video_is_shown_a_clip_of_its_task(store: DemoStore, clips: Clips) -> None:
    telling = Telling(KINDS, store.spec, clips=clips, seed=0)
    for step in range(10):
        found = told(telling, store, step=step)
        rows = found.descriptors["video"]
        assert found.clips is not None
        assert ((rows >= 0) == (found.condition == 1)).all()
        assert rows.max() == len(found.clips) - 1
        everything = clips.frames_of(np.arange(len(store.length)))
        for example, row in enumerate(rows.tolist()):
            if row >= 0:
                shown = [i for i, clip in enumerate(everything) if torch.equal(clip, found.clips[row])]
                assert example not in shown
                assert {int(store.task[i]) for i in shown} == {int(store.task[example])}


def test_frames_stray_in_training_alone(store: DemoStore) -> None:
    """A function of seed and step; each of a clip's frames lies near its even place."""
    every = torch.arange(len(store.length))
    still, straying = (clips_of(store, every, frames=2, jitter=jitter) for jitter in (0.0, 0.5))
    a, same, later, even = (
        told(Telling({"video": 1.0}, store.spec, clips=clips, seed=0), store, step=step).clips
        for clips, step in ((straying, 1), (straying, 1), (straying, 2), (still, 1))
    )
    assert a is not None
    assert same is not None
    assert later is not None
    assert even is not None
    assert torch.equal(a, same)
    assert a.shape == even.shape
    assert not torch.equal(a, even)
    assert a.shape != later.shape or not torch.equal(a, later)
    known = {image.numpy().tobytes() for clip in still.frames_of(every.numpy()) for image in clip}
    assert all(image.numpy().tobytes() in known for clip in even for image in clip)


def test_where_all_kinds_are_compared_everybody_is_shown_a_clip(store: DemoStore, clips: Clips) -> None:
    found = told(Telling(KINDS, store.spec, clips=clips, every=True, seed=0), store)
    assert (found.descriptors["video"] >= 0).all()
    assert found.condition.unique().tolist() == [0, 1]


def test_it_is_a_function_of_seed_and_step(store: DemoStore, clips: Clips) -> None:
    one, same, another = (Telling(KINDS, store.spec, clips=clips, seed=seed) for seed in (0, 0, 1))
    told(same, store, step=3)
    a, b, c = (told(telling, store, step=5) for telling in (one, same, another))
    assert a.clips is not None
    assert b.clips is not None
    assert torch.equal(a.clips, b.clips)
    assert torch.equal(a.descriptors["video"], b.descriptors["video"])
    assert not torch.equal(a.condition, c.condition)


def test_ranks_tell_their_part_of_what_one_tells(store: DemoStore, clips: Clips) -> None:
    telling = Telling(KINDS, store.spec, clips=clips, every=True, seed=0)
    whole = told(telling, store)
    assert whole.clips is not None
    for rank in range(2):
        part = told(telling, store, rank=rank, world_size=2)
        assert part.clips is not None
        assert torch.equal(part.condition, whole.condition[rank::2])
        mine = whole.clips[whole.descriptors["video"][rank::2]]
        assert torch.equal(part.clips[part.descriptors["video"]], mine)


@pytest.fixture
def goals(store: DemoStore) -> Goals:
    """The window at the beginning of each episode is its position."""
    windows = Windows(store.start.numpy(), np.ones_like(store.length.numpy()), history=1, chunk=1)
    states = np.arange(len(store.features["proprio"]), dtype=np.float32)[:, None]
    return Goals(windows, store.task.numpy(), FinalGoal(), states=(states,), valid=np.full((3, 1), True))


def test_an_example_conditioned_on_a_goal_has_its_own(store: DemoStore, goals: Goals) -> None:
    telling = Telling({"one_hot": 1.0, "goal": 1.0}, store.spec, goals=goals, seed=0)
    found = told(telling, store)
    rows = found.descriptors["goal"]
    assert found.goals is not None
    assert ((rows >= 0) == (found.condition == 1)).all()
    assert found.goals[rows[rows >= 0], 0].tolist() == store.start[rows >= 0].tolist()
    assert len(found.goals) == int((rows >= 0).sum())


def test_ranks_have_their_part_of_the_goals(store: DemoStore, goals: Goals) -> None:
    telling = Telling({"one_hot": 1.0, "goal": 1.0}, store.spec, goals=goals, every=True, seed=0)
    for rank in range(2):
        part = told(telling, store, rank=rank, world_size=2)
        assert part.goals is not None
        assert part.goals[part.descriptors["goal"], 0].tolist() == store.start[rank::2].tolist()


def test_goals_beside_it_change_no_other_draw(store: DemoStore, clips: Clips, goals: Goals) -> None:
    """Shares of kinds apart."""
    options = {"clips": clips, "every": True, "seed": 0}
    without = told(Telling(KINDS, store.spec, **options), store)
    kinds: dict[DescriptorKind, float] = {**KINDS, "goal": 1.0}
    beside = told(Telling(kinds, store.spec, goals=goals, **options), store)
    assert all(torch.equal(rows, beside.descriptors[kind]) for kind, rows in without.descriptors.items())


def test_written_kinds_need_no_clips(store: DemoStore, clips: Clips) -> None:
    found = told(Telling({"one_hot": 1.0}, store.spec, clips=clips, seed=0), store)
    assert found.clips is None
    assert list(found.descriptors) == ["one_hot"]


def test_few_sentences_at_once(store: DemoStore) -> None:
    """Of each task in a batch, on any rank; over the batches all of them."""
    counts = [len(task.instructions) for task in store.spec.tasks]
    for limit in (1, 2):
        telling = Telling({"language": 1.0}, store.spec, sentences=limit, seed=0)
        seen: set[int] = set()
        for step in range(40):
            whole = told(telling, store, step=step).descriptors["language"]
            for task in range(3):
                assert len(whole[store.task == task].unique()) <= limit
            seen.update(whole.tolist())
            for rank in range(2):
                part = told(telling, store, step=step, rank=rank, world_size=2)
                assert torch.equal(part.descriptors["language"], whole[rank::2])
        assert seen == set(range(sum(counts)))


def test_tasks_with_a_single_demonstration(store: DemoStore) -> None:
    """It is imitated, so it is not shown."""
    first = torch.tensor([int((store.task == task).nonzero()[0]) for task in range(3)])
    alone = clips_of(store, torch.cat([first, (store.task == 1).nonzero().squeeze(1)[1:3]]), frames=2)
    assert Telling(KINDS, store.spec, clips=alone, seed=0).lacking == {"one_hot": [], "video": [0, 2]}
    with pytest.raises(DatasetError, match=r"tasks that video cannot tell: \w+, \w+; video needs a video in"):
        Telling({"video": 1.0}, store.spec, clips=alone, seed=0)
