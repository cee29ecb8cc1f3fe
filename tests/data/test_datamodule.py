from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.descriptors import descriptor_table
from mtil.data.formats import open_tasks
from mtil.data.randomness import seed_of
from mtil.data.sampling import Draw
from mtil.errors import ConfigError, DatasetError
from mtil.types import Episode

HISTORY, CHUNK = 3, 4


def module(path: Path, *, seed: int = 0, **options: Any) -> DemoDataModule:
    config = DataConfig.model_validate({"path": path, "batch_size": 12, **options})
    return DemoDataModule(config, history=HISTORY, chunk=CHUNK, kinds={"one_hot": 1.0, "language": 1.0}, seed=seed)


def first(data: DemoDataModule, count: int) -> list[Batch]:
    return list(islice(data.train_dataloader(), count))


def same(one: Batch, other: Batch) -> bool:
    def equal(a: Any, b: Any) -> bool:
        if isinstance(a, dict):
            return all(a[key].equal(b[key]) for key in a | b)
        return a is b if a is None else a.equal(b)

    return all(equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Batch))


def part_of(batch: Batch, places: list[int]) -> Batch:
    def chosen(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rows[places] for key, rows in value.items()}
        return None if value is None else value[places]

    return Batch(**{field.name: chosen(getattr(batch, field.name)) for field in fields(Batch)})


def padded(rows: np.ndarray, wanted: list[int], width: int) -> tuple[np.ndarray, list[bool]]:
    """The wanted rows, the edge ones repeated beyond the ends, filled up to a width with zeros; and which are real."""
    found = np.stack([rows[min(max(t, 0), len(rows) - 1)] for t in wanted])
    return np.pad(found, ((0, 0), (0, width - found.shape[1]))), [0 <= t < len(rows) for t in wanted]


def expected_windows(path: Path) -> dict[bytes, dict[str, Any]]:
    """Every window of every demo, read from the files one by one, by its current observation (which is unique)."""
    windows = {}
    for position, file in enumerate(open_tasks(path)):
        for demo in file.demos:
            episode: Episode = file.read(demo)
            for t in range(len(episode)):
                past, future = list(range(t - HISTORY + 1, t + 1)), list(range(t, t + CHUNK))
                proprio, seen = padded(episode.observations["proprio"], past, 5)
                actions, real = padded(episode.actions, future, 4)
                images = [episode.observations["camera"][max(step, 0)] for step in past]
                windows[proprio[-1].tobytes()] = {
                    "task": position,
                    "camera": np.stack(images),
                    "proprio": proprio,
                    "history_mask": seen,
                    "state_mask": [d < file.observations["proprio"].shape[0] for d in range(5)],
                    "actions": actions,
                    "action_mask": [[step and d < file.action.shape[0] for d in range(4)] for step in real],
                }
    return windows


def check_rows(batch: Batch, windows: dict[bytes, dict[str, Any]]) -> list[bytes]:
    """Compares a batch with the files; returns which windows it holds."""
    keys = [row.tobytes() for row in batch.observations["proprio"][:, -1].numpy()]
    for i, key in enumerate(keys):
        window = windows[key]
        np.testing.assert_array_equal(batch.observations["proprio"][i], window["proprio"])
        np.testing.assert_array_equal(batch.actions[i], window["actions"])
        assert batch.task[i] == window["task"]
        assert batch.history_mask[i].tolist() == window["history_mask"]
        assert batch.action_mask[i].tolist() == window["action_mask"]
        assert batch.observation_mask["proprio"][i].tolist() == window["state_mask"]
    return keys


def test_training_batches_are_rows_of_the_files(three_tasks: Path) -> None:
    windows = expected_windows(three_tasks)
    for batch in first(module(three_tasks, observations=["proprio"]), 30):
        assert len(batch) == 12
        assert batch.weight.sum().item() == pytest.approx(1)
        check_rows(batch, windows)


def test_batches_hold_the_images_of_their_windows_as_they_are_stored(three_tasks: Path) -> None:
    data, windows = module(three_tasks, observations=["camera", "proprio"]), expected_windows(three_tasks)
    for batch in first(data, 10):
        keys = check_rows(batch, windows)
        np.testing.assert_array_equal(batch.observations["camera"], np.stack([windows[key]["camera"] for key in keys]))
        assert batch.observation_mask.keys() == {"proprio"}
    assert data.statistics.keys() == {"proprio", "actions"}


def test_a_chunk_longer_than_any_episode(three_tasks: Path) -> None:
    longest = int(module(three_tasks).store.length.max())
    with pytest.raises(ConfigError, match=rf"policy\.chunk: expected at most {longest}, .*longest episode, found 99"):
        DemoDataModule(DataConfig(path=three_tasks), history=1, chunk=99, kinds={"one_hot": 1.0}, seed=0)


def test_a_batch_is_its_windows_one_by_one(three_tasks: Path) -> None:
    data = module(three_tasks, observations=["proprio", "camera"])
    windows = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    whole = data.train.__getitems__(Draw.part(0, windows))
    for i, window in enumerate(windows):
        alone = data.train.__getitems__(Draw(0, window[None], torch.tensor([i]), len(windows), 1))
        assert same(alone, part_of(whole, [i]))


@pytest.mark.parametrize("ranks", [2, 5, 13])
def test_the_ranks_share_one_batch_descriptors_included(three_tasks: Path, ranks: int) -> None:
    """Also where a rank has no example."""
    data = module(three_tasks)
    windows = torch.arange(12) * 7
    whole = data.train.__getitems__(Draw.part(3, windows))
    for rank in range(ranks):
        draw = Draw.part(3, windows, rank=rank, world_size=ranks)
        part = data.train.__getitems__(draw)
        expected = part_of(whole, draw.places.tolist())
        assert same(part, replace(expected, weight=part.weight))


def test_descriptors_are_drawn_by_seed_and_step(three_tasks: Path) -> None:
    """By these numbers alone: a run goes on as it began with any later version, too."""
    data = module(three_tasks, seed=2)
    table = descriptor_table("language", data.store.spec)
    for step, batch in enumerate(first(data, 5)):
        generator = torch.Generator().manual_seed(seed_of(2, step))
        _, share = (torch.rand(12, generator=generator, dtype=torch.float64) for _ in ("one_hot", "language"))
        assert batch.descriptors["language"].equal(table.draw(batch.task, share))


def test_a_batch_may_be_changed_without_harm(three_tasks: Path) -> None:
    data = module(three_tasks)
    draw = Draw.part(0, torch.arange(len(data.train)))
    batch, untouched = data.train.__getitems__(draw), data.train.__getitems__(draw)
    for field in fields(Batch):
        value = getattr(batch, field.name)
        for tensor in value.values() if isinstance(value, dict) else (value,):
            if tensor is not None:
                tensor.zero_()
    assert same(data.train.__getitems__(draw), untouched)


def test_validation_sees_every_window_of_the_held_out_demos_once(three_tasks: Path) -> None:
    windows = expected_windows(three_tasks)
    data = module(three_tasks, observations=["proprio"], validation_fraction=0.3)
    loader = data.val_dataloader()
    assert isinstance(loader, DataLoader)
    seen = [key for batch in loader for key in check_rows(batch, windows)]
    assert len(seen) == len(set(seen)) == len(data.validation)
    trained = {key for batch in first(data, 100) for key in check_rows(batch, windows)}
    assert len(trained) == len(data.train)
    assert trained | set(seen) == set(windows)
    assert not trained & set(seen)


def test_no_validation_demos_no_loader(three_tasks: Path) -> None:
    assert module(three_tasks, validation_fraction=0).val_dataloader() == []


def test_statistics_are_of_the_training_demos(three_tasks: Path) -> None:
    data = module(three_tasks, validation_fraction=0.5)
    values = [batch.actions[batch.action_mask].abs().max().item() for batch in first(data, 100)]
    assert max(values) == max(data.statistics["actions"].high.max(), -data.statistics["actions"].low.min())
    assert not data.statistics["proprio"].mean.equal(
        module(three_tasks, validation_fraction=0).statistics["proprio"].mean
    )


def shares(data: DemoDataModule, batches: int) -> list[list[int]]:
    return [torch.bincount(batch.task, minlength=3).tolist() for batch in first(data, batches)]


def test_every_batch_holds_every_task_equally(three_tasks: Path) -> None:
    assert shares(module(three_tasks), 10) == [[4, 4, 4]] * 10


def test_weights_are_kept_in_every_batch(three_tasks: Path) -> None:
    sampling = {"kind": "stratified", "weights": {"turn": 3, "lift": 2, "push": 1}}
    assert shares(module(three_tasks, sampling=sampling), 10) == [[4, 2, 6]] * 10


def test_alpha_one_is_proportional_to_the_data(three_tasks: Path) -> None:
    data = module(three_tasks, sampling={"kind": "stratified", "alpha": 1})
    size = torch.bincount(data.train.task)
    had = torch.tensor(shares(data, 20)).sum(0)
    assert ((had - 20 * 12 * size / size.sum()).abs() < 1).all()


def test_uniform_sampling_draws_every_window_once_in_a_pass(three_tasks: Path) -> None:
    data = module(three_tasks, observations=["proprio"], sampling={"kind": "uniform"}, batch_size=7)
    whole = len(data.train) // 7
    seen = Counter(
        row.numpy().tobytes() for batch in first(data, whole) for row in batch.observations["proprio"][:, -1]
    )
    assert sum(seen.values()) == whole * 7 == len(seen)
    assert len({tuple(counts) for counts in shares(data, whole)}) > 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"lift": 1, "psuh": 1, "turn": 1}, r"data\.sampling\.weights: unknown task 'psuh'; did you mean 'push'\?"),
        ({"lift": 1, "push": 1}, r"data\.sampling\.weights: no weight for task 'turn'; expected one for each task"),
    ],
)
def test_weights_that_do_not_fit_the_tasks(three_tasks: Path, weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module(three_tasks, sampling={"kind": "stratified", "weights": weights})


def test_descriptors_tell_the_examples_task_and_vary_with_the_step(three_tasks: Path) -> None:
    owner = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2])  # the files hold 2, 3 and 4 sentences
    batches = first(module(three_tasks), 10)
    for batch in batches:
        assert batch.descriptors["one_hot"].equal(batch.task)
        assert owner[batch.descriptors["language"]].equal(batch.task)
    drawn = {tuple(batch.descriptors["language"].tolist()) for batch in batches}
    assert len(drawn) == 10
    assert {row for rows in drawn for row in rows} == set(range(9))


def test_a_loader_begins_anew_and_the_seed_decides(three_tasks: Path) -> None:
    data = module(three_tasks)
    once, again, equal, other = (
        first(data, 3),
        first(data, 3),
        first(module(three_tasks), 3),
        first(module(three_tasks, seed=1), 3),
    )
    assert all(map(same, once, again))
    assert all(map(same, once, equal))
    assert not any(map(same, once, other))


@pytest.mark.parametrize("observations", [None, ["proprio", "camera"]])
def test_workers_change_nothing(three_tasks: Path, observations: list[str] | None) -> None:
    alone, helped = (module(three_tasks, observations=observations, num_workers=workers) for workers in (0, 2))
    assert all(map(same, first(alone, 5), first(helped, 5)))
    mine, theirs = alone.val_dataloader(), helped.val_dataloader()
    assert len(mine) == len(theirs) > 0
    assert all(map(same, mine, theirs))  # type: ignore[arg-type]


def test_the_seed_decides_which_sentence_tells(three_tasks: Path) -> None:
    told = [torch.cat([batch.descriptors["language"] for batch in first(module(three_tasks, seed=seed), 5)])
            for seed in (0, 0, 1)]  # fmt: skip
    same = [torch.equal(told[0], other) for other in told[1:]]
    assert same == [True, False]


def test_language_needs_sentences(three_tasks: Path) -> None:
    silence(three_tasks / "push.hdf5")
    config = DataConfig.model_validate({"path": three_tasks})
    with pytest.raises(DatasetError, match=f"{three_tasks}: tasks that language cannot tell: push; language needs"):
        DemoDataModule(config, history=1, chunk=1, kinds={"language": 1.0}, seed=0)


def test_a_task_without_sentences_is_told_otherwise(three_tasks: Path) -> None:
    silence(three_tasks / "push.hdf5")
    data = module(three_tasks)
    silent = data.store.spec.position("push")
    for batch in first(data, 20):
        assert ((batch.descriptors["language"] < 0) == (batch.task == silent)).all()
        assert not batch.condition[batch.task == silent].any()  # one_hot is the first kind


def test_each_kind_has_its_share_in_a_batch(three_tasks: Path) -> None:
    for batch in first(module(three_tasks), 20):
        for task in range(3):
            share = batch.condition[batch.task == task].float().mean()
            assert 0.25 <= share <= 0.75


def silence(path: Path) -> None:
    """Take a task's sentences away."""
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["problem_info"]


def shown(path: Path, **clips: Any) -> DemoDataModule:
    """Tasks told by name and by clips of two frames."""
    values = {
        "path": path,
        "batch_size": 12,
        "clips": {"images": "camera", "shift": 0, **clips},
        "observations": ["proprio"],
    }
    config = DataConfig.model_validate(values)
    return DemoDataModule(config, history=1, chunk=1, kinds={"one_hot": 1.0, "video": 1.0}, frames=2, seed=0)


def test_clips_show_tasks(three_tasks: Path) -> None:
    data = shown(three_tasks)
    assert data.store.spec.clip is not None
    assert data.store.spec.clip.key == "camera"
    assert list(data.store.images) == []
    batch = first(data, 1)[0]
    assert batch.clips is not None
    assert batch.clips.shape[1:] == (2, 2, 2, 3)
    assert list(batch.observations) == ["proprio"]
    loader = data.val_dataloader()
    assert isinstance(loader, DataLoader)
    held_out = next(iter(loader))
    assert (held_out.descriptors["video"] >= 0).all()


def test_videos_show_tasks_too(three_tasks: Path, tmp_path: Path, film: Callable[..., Path]) -> None:
    for task in ("push", "turn", "lift"):
        film(tmp_path / "videos" / task / "film.mp4", frames=2, first=240)
    data = shown(three_tasks, videos=tmp_path / "videos")
    bright = 0
    for batch in first(data, 20):
        assert batch.clips is not None
        bright += sum(bool(clip.min() > 200) for clip in batch.clips)
    assert bright > 2


@pytest.mark.parametrize(
    ("clips", "error", "message"),
    [
        (None, ConfigError, "data.clips: expected what shows tasks to a policy that is told them by video, found null"),
        ({"images": "camra"}, DatasetError, r"data\.clips: unknown image 'camra'; did you mean 'camera'\?"),
        ({"images": "proprio"}, DatasetError, r"data\.clips: unknown image 'proprio'; valid: camera"),
        ({"images": "camera", "shift": 0, "videos": "nowhere"}, DatasetError, "nowhere: no such folder"),
    ],
)
def test_clips_that_are_not_there(three_tasks: Path, clips: Any, error: type[Exception], message: str) -> None:
    config = DataConfig.model_validate({"path": three_tasks, "clips": clips})
    with pytest.raises(error, match=message):
        DemoDataModule(config, history=1, chunk=1, kinds={"video": 1.0}, frames=2, seed=0)


def test_states_to_be_told_are_those_of_the_present_step(three_tasks: Path) -> None:
    seen = first(module(three_tasks, observations=["camera", "proprio"]), 3)
    told = first(module(three_tasks, observations=["camera"], targets=["proprio"]), 3)
    for one, other in zip(seen, told, strict=True):
        assert (list(other.observations), list(other.targets)) == (["camera"], ["proprio"])
        assert one.observations["proprio"][:, -1].equal(other.targets["proprio"])
        assert one.observation_mask["proprio"].equal(other.target_mask["proprio"])
