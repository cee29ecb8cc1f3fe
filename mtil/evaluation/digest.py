"""Digests: what decides the outcome of every episode, in a few letters to know it again by."""

import hashlib
import json
from collections.abc import Iterable

import torch
from torch import Tensor

from mtil.evaluation.metrics import EvaluationProtocol
from mtil.evaluation.rollout import Trial
from mtil.policies.policy import Policy


def weights_digest(policy: Policy) -> str:
    """Of names and bits of everything in a policy's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(_bits(tensor))
    return digest.hexdigest()[:16]


def evaluation_digest(protocol: EvaluationProtocol, trials: Iterable[Trial]) -> str:
    """Of all that decides the outcomes: suite, weights, and task, placement, words and z of every episode."""
    rules = (protocol.suite, protocol.horizon, protocol.success, protocol.condition, protocol.control, protocol.weights)
    described = () if protocol.suite_digest is None else (protocol.suite_digest,)
    digest = hashlib.sha256(json.dumps(rules + described).encode())
    for trial in trials:
        called = () if trial.called is None else (trial.called,)
        digest.update(json.dumps([trial.task, trial.episode, trial.placement, trial.told, *called]).encode())
        digest.update(_bits(trial.z))
    return digest.hexdigest()


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
