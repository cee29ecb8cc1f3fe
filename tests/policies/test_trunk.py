import pytest
import torch

from mtil.policies.config import MLPTrunkConfig
from mtil.policies.trunk import MLPTrunk

FEATURES, CONDITION = 5, 3
FILM = MLPTrunkConfig(width=16, depth=2, conditioning="film")
CONCAT = MLPTrunkConfig(width=16, depth=2, conditioning="concat")
both = pytest.mark.parametrize("config", [FILM, CONCAT], ids=["film", "concat"])


def make(config: MLPTrunkConfig) -> MLPTrunk:
    torch.manual_seed(0)
    return MLPTrunk(config, features=FEATURES, condition=CONDITION)


def inputs(batch: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(batch, FEATURES, generator=random), torch.randn(batch, CONDITION, generator=random)


@both
def test_width(config: MLPTrunkConfig) -> None:
    trunk = make(config)
    assert trunk(*inputs()).shape == (4, trunk.width) == (4, 16)


@both
def test_examples_do_not_see_each_other(config: MLPTrunkConfig) -> None:
    trunk, (features, z), order = make(config), inputs(), [2, 0, 3, 1]
    torch.testing.assert_close(trunk(features[order], z[order]), trunk(features, z)[order])
    torch.testing.assert_close(trunk(features[:1], z[:1]), trunk(features, z)[:1])


def test_film_begins_without_the_task() -> None:
    trunk, (features, z) = make(FILM), inputs()
    assert torch.equal(trunk(features, z), trunk(features, -z))


def test_concatenation_begins_with_the_task() -> None:
    trunk, (features, z) = make(CONCAT), inputs()
    assert (trunk(features, z) - trunk(features, -z)).abs().max() > 0.1


@both
def test_the_task_can_be_learned(config: MLPTrunkConfig) -> None:
    """The same features, opposite targets: only z tells which."""
    trunk, z = make(config), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    features = inputs(1)[0].expand(2, -1)
    target = torch.tensor([1.0, -1.0])
    optimizer = torch.optim.Adam(trunk.parameters(), lr=1e-2)
    for _ in range(50):
        optimizer.zero_grad()
        (trunk(features, z)[:, 0] - target).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(trunk(features, z)[:, 0], target, atol=0.1, rtol=0)


@both
def test_every_parameter_learns(config: MLPTrunkConfig) -> None:
    trunk, (features, z) = make(config), inputs()
    found = trunk(features, z)
    (found * torch.randn_like(found)).sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_acts_in_training_alone() -> None:
    trunk, (features, z) = make(FILM.model_copy(update={"dropout": 0.5})), inputs()
    assert not torch.equal(trunk(features, z), trunk(features, z))
    trunk.eval()
    assert torch.equal(trunk(features, z), trunk(features, z))
