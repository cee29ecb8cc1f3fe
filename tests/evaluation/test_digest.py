"""A digest changes with everything that decides how episodes end, and with nothing else."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch

from mtil.evaluation.digest import evaluation_digest, weights_digest
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.rollout import Trial
from mtil.policies.policy import Policy


def test_weights_are_known_by_their_bits(apprentice: Policy) -> None:
    before = weights_digest(apprentice)
    assert len(before) == 16
    copy = deepcopy(apprentice)
    assert weights_digest(copy) == before
    weight = next(copy.trunk.parameters())
    with torch.no_grad():
        weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(9.0))
    assert weights_digest(copy) != before


def test_an_evaluation_is_known_by_what_decides_its_outcomes(result: EvaluationResult) -> None:
    protocol = replace(result.protocol, weights="0123456789abcdef")
    trial = Trial(task="near", episode=3, placement=77, told="come", z=torch.ones(2))
    other_evaluations = [
        (protocol, [trial, trial]),
        *((replace(protocol, **change), [trial]) for change in (
            {"suite": "other"}, {"weights": "x"}, {"control": "wrong"}, {"condition": "one_hot"}, {"horizon": 21},
            {"suite_digest": "y"})),
        *((protocol, [replace(trial, **change)]) for change in (
            {"task": "far"}, {"episode": 4}, {"placement": 78}, {"told": "go"}, {"z": torch.tensor([1.0, 1.0000001])})),
    ]  # fmt: skip
    digests = [evaluation_digest(*each) for each in other_evaluations]
    before = evaluation_digest(protocol, [trial])
    assert len({before, *digests}) == len(digests) + 1
    assert evaluation_digest(replace(protocol, checkpoint="moved"), [replace(trial, video=Path("x.mp4"))]) == before
