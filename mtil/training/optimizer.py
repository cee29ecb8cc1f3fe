"""What is trained, at which rate: the policy as a whole, and each pretrained network in it in its own way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from mtil.encoders.tuning import TunedEncoder, layers, tuned_encoders
from mtil.encoders.tuning_config import FrozenTuning, FullTuning, Tuning
from mtil.errors import ConfigError
from mtil.policies.parts import matching
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig, OptimizerConfig
from mtil.training.schedule import warmup_cosine


@dataclass(frozen=True)
class Group:
    """Parameters that share a rate.

    Attributes:
        parameters: Those that are trained.
        learning_rate: Their highest rate.
        warmup_steps: Until that is reached.
    """

    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    warmup_steps: int


def build_optimizer(module: nn.Module, config: ExperimentConfig) -> tuple[AdamW, LambdaLR]:
    """AdamW, and the schedule of its rates: each warms up in its own time, and all fall to zero at the last step.

    Weights decay, but for those of one dimension: offsets, and the scales of normalisation.

    Args:
        module: Whose parameters are trained.
        config: Rates, and the length of the training.
    """
    options, groups, warmups = config.optimizer, [], []
    for group in parameter_groups(module, options):
        for decays in (True, False):
            chosen = [parameter for parameter in group.parameters if (parameter.ndim > 1) == decays]
            if chosen:
                decay = options.weight_decay if decays else 0.0
                groups.append({"params": chosen, "lr": group.learning_rate, "weight_decay": decay})
                warmups.append(warmup_cosine(group.warmup_steps, config.trainer.max_steps))
    fused = config.trainer.precision == "32-true"  # else Lightning could not clip the gradients
    optimizer = AdamW(groups, lr=options.learning_rate, fused=fused)
    return optimizer, LambdaLR(optimizer, warmups)


def parameter_groups(module: nn.Module, options: OptimizerConfig) -> Iterator[Group]:
    """The trained parameters by their rate: first all those of the policy's own rate, then each pretrained network of
    another, from its last layer to its first.
    """
    encoders = [encoder for _, encoder in tuned_encoders(module) if _apart(encoder.tuning)]
    networks = {id(parameter) for encoder in encoders for parameter in encoder.network.parameters()}
    rest = tuple(p for p in module.parameters() if p.requires_grad and id(p) not in networks)
    yield Group(rest, options.learning_rate, options.warmup_steps)
    for encoder in encoders:
        yield from _of_network(encoder, options)


def _apart(tuning: Tuning) -> bool:
    """Whether a network has rates of its own."""
    if isinstance(tuning, FrozenTuning):
        return False
    own = (tuning.learning_rate, tuning.warmup_steps) != (None, None)
    return own or (isinstance(tuning, FullTuning) and tuning.layer_decay < 1)


def _of_network(encoder: TunedEncoder, options: OptimizerConfig) -> Iterator[Group]:
    tuning = encoder.tuning
    assert not isinstance(tuning, FrozenTuning), "it is trained"
    rate = tuning.learning_rate or options.learning_rate
    warmup = options.warmup_steps if tuning.warmup_steps is None else tuning.warmup_steps
    decay = tuning.layer_decay if isinstance(tuning, FullTuning) else 1.0
    depth = layers(encoder.network) if decay < 1 else {}
    last = max(depth.values(), default=0)
    trained = [(n, p) for n, p in encoder.network.named_parameters() if p.requires_grad]
    for each in sorted({depth.get(name, 0) for name, _ in trained}, reverse=True):
        chosen = tuple(parameter for name, parameter in trained if depth.get(name, 0) == each)
        yield Group(chosen, rate * decay ** (last - each), warmup)


def freeze(policy: Policy, patterns: Sequence[str]) -> None:
    """Leave parameters out of the training.

    Args:
        policy: Whose parameters.
        patterns: Of their names, as a shell matches those of files.

    Raises:
        ConfigError: A pattern matches none, or nothing is left to train.
    """
    parameters = dict(policy.named_parameters())
    for name in matching(parameters, patterns, option="optimizer.frozen"):
        parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in policy.parameters()):
        raise ConfigError(f"optimizer.frozen: expected something to be left to train, found {', '.join(patterns)}")
