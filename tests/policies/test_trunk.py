"""What every trunk must be, and what each kind is beside that."""

import pytest
import torch
from torch import Tensor

from mtil.config import load
from mtil.errors import ConfigError
from mtil.policies.config import MLPTrunkConfig, PolicyConfig, TransformerTrunkConfig, TrunkConfig
from mtil.policies.trunk import TransformerTrunk, Trunk, build_trunk

STREAMS, HISTORY, CONDITION = (5, 2), 3, 3
FILM = MLPTrunkConfig(width=16, depth=2, conditioning="film")
CONCAT = MLPTrunkConfig(width=16, depth=2, conditioning="concat")
TRANSFORMER = TransformerTrunkConfig(width=16, depth=2, heads=2)
CASES: dict[str, TrunkConfig] = {"film": FILM, "concat": CONCAT, "transformer": TRANSFORMER}
every_kind = pytest.mark.parametrize("config", CASES.values(), ids=CASES)


def make(config: TrunkConfig) -> Trunk:
    torch.manual_seed(0)
    return build_trunk(config, streams=STREAMS, history=HISTORY, condition=CONDITION)


def inputs(batch: int = 4) -> tuple[list[Tensor], Tensor]:
    random = torch.Generator().manual_seed(0)
    streams = [torch.randn(batch, HISTORY, width, generator=random) for width in STREAMS]
    return streams, torch.randn(batch, CONDITION, generator=random)


def of(streams: list[Tensor], rows: list[int]) -> list[Tensor]:
    return [stream[rows] for stream in streams]


@every_kind
def test_width(config: TrunkConfig) -> None:
    trunk = make(config)
    assert trunk(*inputs()).shape == (4, trunk.width) == (4, 16)


@every_kind
def test_examples_do_not_see_each_other(config: TrunkConfig) -> None:
    trunk, (streams, z), order = make(config), inputs(), [2, 0, 3, 1]
    torch.testing.assert_close(trunk(of(streams, order), z[order]), trunk(streams, z)[order])
    torch.testing.assert_close(trunk(of(streams, [0]), z[:1]), trunk(streams, z)[:1])


@every_kind
def test_every_stream_and_step_counts(config: TrunkConfig) -> None:
    trunk, (streams, z) = make(config), inputs()
    for stream in streams:
        stream.requires_grad_()
    found = trunk(streams, z)
    (found * torch.randn_like(found)).sum().backward()
    for stream in streams:
        assert stream.grad is not None
        assert (stream.grad != 0).all()


def test_film_begins_without_the_task() -> None:
    trunk, (streams, z) = make(FILM), inputs()
    assert torch.equal(trunk(streams, z), trunk(streams, -z))


@pytest.mark.parametrize("config", [CONCAT, TRANSFORMER], ids=["concat", "transformer"])
def test_others_begin_with_the_task(config: TrunkConfig) -> None:
    trunk, (streams, z) = make(config), inputs()
    assert (trunk(streams, z) - trunk(streams, -z)).abs().max() > 0.05


@every_kind
def test_the_task_can_be_learned(config: TrunkConfig) -> None:
    """The same features, opposite targets: only z tells which."""
    trunk, z = make(config), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    streams = of(inputs(1)[0], [0, 0])
    target = torch.tensor([1.0, -1.0])
    optimizer = torch.optim.Adam(trunk.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (trunk(streams, z)[:, 0] - target).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(trunk(streams, z)[:, 0], target, atol=0.1, rtol=0)


@every_kind
def test_every_parameter_learns(config: TrunkConfig) -> None:
    trunk, (streams, z) = make(config), inputs()
    found = trunk(streams, z)
    (found * torch.randn_like(found)).sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("config", [FILM, TRANSFORMER], ids=["film", "transformer"])
def test_dropout_acts_in_training_alone(config: TrunkConfig) -> None:
    trunk, (streams, z) = make(config.model_copy(update={"dropout": 0.5})), inputs()
    assert not torch.equal(trunk(streams, z), trunk(streams, z))
    trunk.eval()
    assert torch.equal(trunk(streams, z), trunk(streams, z))


def test_what_comes_later_changes_nothing_before() -> None:
    trunk, (streams, z) = make(TRANSFORMER), inputs()
    assert isinstance(trunk, TransformerTrunk)
    before = trunk.tokens(streams, z)
    for step in range(HISTORY):
        later = [torch.cat([s[:, :step], s[:, step:] + 1], 1) for s in streams]
        changed = (trunk.tokens(later, z) - before).abs().amax((0, 2)) > 1e-4
        first = 1 + step * len(STREAMS)  # token, behind that of z
        assert changed.tolist() == [token >= first for token in range(len(changed))]
    assert ((trunk.tokens(streams, z + 1) - before).abs().amax((0, 2)) > 1e-4).all()


def test_steps_and_streams_are_told_apart() -> None:
    """Attention alone would take the tokens for a set."""
    torch.manual_seed(0)
    trunk, (streams, z) = build_trunk(TRANSFORMER, streams=(5, 5), history=HISTORY, condition=CONDITION), inputs()
    first, second = streams[0], streams[0].roll(1, 0)
    assert isinstance(trunk, TransformerTrunk)
    trunk.inputs[1].load_state_dict(trunk.inputs[0].state_dict())
    with torch.no_grad():
        trunk.stream.normal_()
        trunk.time.normal_()
    found = trunk([first, second], z)
    assert (trunk([second, first], z) - found).abs().max() > 1e-3
    assert (trunk([first.flip(1), second.flip(1)], z) - found).abs().max() > 1e-3


def test_heads_share_the_width() -> None:
    with pytest.raises(ConfigError, match=r"trunk\.heads: .*expected a divisor of the width 16, found 3"):
        load(PolicyConfig, "trunk: {kind: transformer, width: 16, heads: 3}")
