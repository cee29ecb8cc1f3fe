import math

import pytest
import torch

from mtil.encoders.alignment import misalignment
from mtil.encoders.config import AlignmentConfig

COSINE, CONTRASTIVE = AlignmentConfig(), AlignmentConfig(kind="contrastive", temperature=0.5)


def vectors(*seeds: int) -> list[torch.Tensor]:
    return [torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) for seed in seeds]


def test_cosine_is_of_each_clip_and_its_sentence() -> None:
    shown, told = vectors(0, 1)
    found = misalignment(shown, told, torch.arange(6), COSINE)
    for row in range(6):
        cosine = shown[row] @ told[row] / shown[row].norm() / told[row].norm()
        assert found[row].item() == pytest.approx(1 - cosine.item(), abs=1e-6)
    assert misalignment(3 * told, told, torch.arange(6), COSINE).abs().max() < 1e-6


def test_contrast_is_with_the_sentences_of_other_tasks() -> None:
    shown, told = vectors(0, 1)
    task = torch.tensor([0, 0, 1, 1, 1, 2])
    found = misalignment(shown, told, task, CONTRASTIVE)
    for row in range(6):
        rivals = [other for other in range(6) if other == row or task[other] != task[row]]
        cosines = {o: float(torch.cosine_similarity(shown[row], told[o], dim=0)) / 0.5 for o in rivals}
        expected = math.log(sum(math.exp(value) for value in cosines.values())) - cosines[row]
        assert found[row].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("config", [COSINE, CONTRASTIVE])
def test_clips_are_drawn_to_sentences_which_stay(config: AlignmentConfig) -> None:
    shown, told = (each.requires_grad_() for each in vectors(0, 1))
    task = torch.arange(6) % 3
    before = misalignment(shown, told, task, config).sum()
    before.backward()
    assert told.grad is None
    assert shown.grad is not None
    after = misalignment(shown.detach() - 0.1 * shown.grad, told, task, config).sum()
    assert after < before


@pytest.mark.parametrize("config", [COSINE, CONTRASTIVE])
def test_where_no_clip_is_shown(config: AlignmentConfig) -> None:
    none = torch.zeros(0, 4)
    assert misalignment(none, none, torch.zeros(0, dtype=torch.long), config).shape == (0,)


def test_one_task_alone_has_nothing_to_be_contrasted_with() -> None:
    shown, told = vectors(0, 1)
    assert not misalignment(shown, told, torch.zeros(6, dtype=torch.long), CONTRASTIVE).any()
