import math

import pytest
import torch

from mtil.encoders.alignment import misalignment
from mtil.encoders.config import AlignmentConfig

COSINE, CONTRASTIVE = AlignmentConfig(), AlignmentConfig(kind="contrastive", temperature=0.5)
OWN, TASK = torch.tensor([3, 0, 0, 5]), torch.tensor([0, 0, 1, 1, 1, 2])


def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    """Of four clips and six sentences."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 8, generator=generator), torch.randn(6, 8, generator=generator)


def test_cosine_is_of_each_clip_and_its_sentence() -> None:
    shown, told = vectors()
    found = misalignment(shown, told, OWN, TASK, COSINE)
    for clip, row in enumerate(OWN.tolist()):
        cosine = shown[clip] @ told[row] / shown[clip].norm() / told[row].norm()
        assert found[clip].item() == pytest.approx(1 - cosine.item(), abs=1e-6)
    assert misalignment(3 * told, told, torch.arange(6), TASK, COSINE).abs().max() < 1e-6


def test_contrast_is_with_the_sentences_of_other_tasks() -> None:
    shown, told = vectors()
    found = misalignment(shown, told, OWN, TASK, CONTRASTIVE)
    for clip, own in enumerate(OWN.tolist()):
        rivals = [row for row in range(6) if row == own or TASK[row] != TASK[own]]
        cosines = {row: float(torch.cosine_similarity(shown[clip], told[row], dim=0)) / 0.5 for row in rivals}
        expected = math.log(sum(math.exp(value) for value in cosines.values())) - cosines[own]
        assert found[clip].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("config", [COSINE, CONTRASTIVE])
def test_clips_are_drawn_to_sentences_which_stay(config: AlignmentConfig) -> None:
    shown, told = (each.requires_grad_() for each in vectors())
    before = misalignment(shown, told, OWN, TASK, config).sum()
    before.backward()
    assert told.grad is None
    assert shown.grad is not None
    after = misalignment(shown.detach() - 0.1 * shown.grad, told, OWN, TASK, config).sum()
    assert after < before


@pytest.mark.parametrize("config", [COSINE, CONTRASTIVE])
def test_where_no_clip_is_shown(config: AlignmentConfig) -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert misalignment(torch.zeros(0, 8), vectors()[1], none, TASK, config).shape == (0,)


def test_one_task_alone_has_nothing_to_be_contrasted_with() -> None:
    shown, told = vectors()
    assert not misalignment(shown, told, OWN, torch.zeros(6, dtype=torch.long), CONTRASTIVE).any()
