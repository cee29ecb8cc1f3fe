"""What is drawn from the portions of streams."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hf_rows import LENGTHS, episode_of

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.errors import ConfigError, DatasetError


def module(sources: Sequence[str], **stream: Any) -> DemoDataModule:
    settings = {"sources": sources, "episodes": 4, "steps": 3, "held_out": 1} | stream
    config = DataConfig.model_validate({"stream": settings, "batch_size": 6, "observations": ["state", "top"]})
    return DemoDataModule(config, history=2, chunk=2, kinds={"one_hot": 1.0}, seed=0)


def batches(data: DemoDataModule, count: int) -> list[Batch]:
    return list(itertools.islice(iter(data.train_dataloader()), count))


def test_batches_are_stratified_whatever_portion_they_are_from(one: str) -> None:
    data = module([one])
    assert (len(data.validation), len(data.train)) == (4 + 3, 5 + 2)
    found = batches(data, 12)
    assert all(batch.task.bincount().tolist() == [3, 3] for batch in found)
    second = episode_of(4, 6).actions.tolist() + episode_of(6, 4).actions.tolist()
    lifted = torch.cat([batch.actions[batch.task == 0, 0] for batch in found[3:6]])
    assert all(action in second for action in lifted.tolist())


def test_shares_of_windows_are_exact_in_each_portion(one: str) -> None:
    """Where they follow how many windows a portion has of each task."""
    settings = {"sources": [one], "episodes": 4, "steps": 5, "held_out": 1}
    config = DataConfig.model_validate({"stream": settings, "batch_size": 7, "sampling": {"alpha": 1}})
    data = DemoDataModule(config, history=1, chunk=1, kinds={"one_hot": 1.0}, seed=0)
    found = batches(data, 10)
    for portion, windows in ((found[:5], (5, 2)), (found[5:], (10, 5))):
        drawn = sum(batch.task.bincount(minlength=2) for batch in portion)
        assert isinstance(drawn, torch.Tensor)
        assert abs(drawn[0] - 35 * windows[0] / sum(windows)) < 1


def test_a_run_that_goes_on_sees_the_batches_that_it_would_have(one: str) -> None:
    expected, data = batches(module([one]), 9), module([one])

    class AtStepFive:
        global_step, accumulate_grad_batches, global_rank, world_size = 5, 1, 0, 1

    data.trainer = AtStepFive()  # type: ignore[assignment]
    for found, batch in zip(batches(data, 4), expected[5:], strict=True):
        for key in ("state", "top"):
            assert torch.equal(found.observations[key], batch.observations[key])
        assert torch.equal(found.actions, batch.actions)


def test_statistics_are_of_the_first_portion(one: str) -> None:
    data = module([one])
    trained = np.concatenate([episode_of(number, LENGTHS[number]).actions for number in (2, 3)])
    torch.testing.assert_close(data.statistics["actions"].mean, torch.from_numpy(trained.mean(0)))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            ["nowhere/*.parquet"],
            r"nowhere/\*\.parquet: data\.stream: expected parquet files, a folder of them, or OWNER.*, found nothing",
        ),
        (["one", "empty"], "empty: data.stream: expected parquet files.*, found a folder without any"),
        (["one/0.parquet", "damaged.parquet"], "damaged.parquet: cannot be read"),
    ],
)
def test_streams_that_cannot_be_read(
    one: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match=message):
        module(sources)


def test_a_chunk_that_no_episode_of_the_first_portion_has(one: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.chunk"):
        DemoDataModule(
            DataConfig.model_validate({"stream": {"sources": [one], "episodes": 2}}),
            history=1,
            chunk=50,
            kinds={"one_hot": 1.0},
            seed=0,
        )


def test_scaled_images_are_laid_down_so(one: str, own_cache: Path) -> None:
    """They do not gather in the cache, and a policy is told that they were scaled."""
    settings = {"sources": [one], "episodes": 4, "steps": 1, "held_out": 1}
    config = {"stream": settings, "batch_size": 6, "observations": ["state", "top"], "image_size": 4}
    data = DemoDataModule(DataConfig.model_validate(config), history=1, chunk=1, kinds={"one_hot": 1.0}, seed=0)
    assert all(batch.observations["top"].shape[2:] == (4, 4, 3) for batch in batches(data, 5))
    assert data.store.spec.observations[1].scaled
    assert not (own_cache / "images").exists()
