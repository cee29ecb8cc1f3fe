"""Laws of the heads: densities integrate to 1, padding is nothing, and all agree with textbook forms."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mtil.policies.config import DiscretisedHeadConfig, GaussianHeadConfig, HeadConfig, MixtureHeadConfig
from mtil.policies.heads import DiscretisedActions, GaussianActions, Head, MixtureActions, build_head

FEATURES = 8
CONFIGS = (
    GaussianHeadConfig(std="state", min_std=0.3),
    GaussianHeadConfig(std="global", min_std=0.3),
    GaussianHeadConfig(std="fixed", min_std=0.3),
    MixtureHeadConfig(components=3, over="step", min_std=0.3),
    MixtureHeadConfig(components=3, over="chunk", min_std=0.3),
    DiscretisedHeadConfig(bins=8),
)
every_head = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: "-".join(map(str, dict(config).values())))
few_examples = settings(max_examples=8)
seeds = st.integers(0, 2**31)


def make_head(config: HeadConfig, *, chunk: int = 1, actions: int = 2, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    return build_head(config, features=FEATURES, chunk=chunk, actions=actions)


def make_inputs(seed: int, *, batch: int = 5, chunk: int = 3, actions: int = 2) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, FEATURES, generator=random)
    values = torch.randn(batch, chunk, actions, generator=random)
    mask = torch.rand(batch, chunk, actions, generator=random) < 0.6
    return features, values, mask


def gradients(head: Head, features: torch.Tensor, actions: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    head.zero_grad()
    head(features).log_prob(actions, mask).sum().backward()
    return [parameter.grad.clone() for parameter in head.parameters() if parameter.grad is not None]


def integral(head: Head, *, dimensions: int, invalid: int = 0) -> float:
    """The density of one step, summed over a grid of its valid dimensions; the invalid ones hold garbage."""
    spacing = 1 / 32
    axis = torch.arange(-8, 8, spacing) + spacing / 2
    grid = torch.cartesian_prod(*[axis] * dimensions).reshape(-1, dimensions)
    actions = torch.cat([grid, torch.full((len(grid), invalid), 1e6)], 1).unsqueeze(1)
    features = torch.ones(1, FEATURES).expand(len(grid), -1)
    with torch.no_grad():
        density = head(features).log_prob(actions, actions < 1e5).double().exp()
    return density.sum().item() * spacing**dimensions


@every_head
@pytest.mark.parametrize(("dimensions", "invalid"), [(1, 0), (2, 0), (1, 2)])
def test_density_integrates_to_one(config: HeadConfig, dimensions: int, invalid: int) -> None:
    head = make_head(config, actions=dimensions + invalid)
    assert integral(head, dimensions=dimensions, invalid=invalid) == pytest.approx(1, abs=2e-3)


@every_head
@given(seed=seeds)
@few_examples
def test_padding_changes_neither_value_nor_gradient(config: HeadConfig, seed: int) -> None:
    head = make_head(config, chunk=3, seed=seed)
    features, actions, mask = make_inputs(seed)
    expected, expected_gradients = head(features).log_prob(actions, mask), gradients(head, features, actions, mask)
    for garbage in (1e30, math.nan, -math.inf):
        padded = actions.masked_fill(~mask, garbage)
        assert torch.equal(head(features).log_prob(padded, mask), expected)
        for found, wanted in zip(gradients(head, features, padded, mask), expected_gradients, strict=True):
            assert torch.equal(found, wanted)


@every_head
def test_nothing_valid_is_exactly_zero(config: HeadConfig) -> None:
    head = make_head(config, chunk=3)
    features, actions, mask = make_inputs(0)
    nothing = torch.zeros_like(mask)
    assert (head(features).log_prob(actions, nothing) == 0).all()
    assert all((gradient == 0).all() for gradient in gradients(head, features, actions, nothing))


@every_head
def test_invalid_steps_equal_a_shorter_sum(config: HeadConfig) -> None:
    """Where steps are independent, the log-density of two steps is the sum of each step's own."""
    if isinstance(config, MixtureHeadConfig) and config.over == "chunk":
        config = config.model_copy(update={"components": 1})
    distribution = make_head(config, chunk=2)(make_inputs(0)[0])
    actions = make_inputs(1, chunk=2)[1]
    first, both = torch.zeros(5, 2, 2, dtype=torch.bool), torch.ones(5, 2, 2, dtype=torch.bool)
    first[:, 0] = True
    total = distribution.log_prob(actions, first) + distribution.log_prob(actions, ~first)
    torch.testing.assert_close(total, distribution.log_prob(actions, both))


@every_head
@given(seed=seeds)
@few_examples
def test_examples_do_not_see_each_other(config: HeadConfig, seed: int) -> None:
    head = make_head(config, chunk=3)
    features, actions, mask = make_inputs(seed)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    distribution, permuted = head(features), head(features[order])
    torch.testing.assert_close(
        permuted.log_prob(actions[order], mask[order]), distribution.log_prob(actions, mask)[order]
    )
    torch.testing.assert_close(permuted.mode, distribution.mode[order])


@every_head
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e4])
def test_gradients_are_finite_at_extremes(config: HeadConfig, scale: float) -> None:
    head = make_head(config, chunk=3)
    features, actions, mask = make_inputs(0)
    for sign in (-1, 1):
        found = gradients(head, features * scale, actions * sign * 1e4, mask)
        assert all(gradient.isfinite().all() for gradient in found)


@every_head
def test_any_finite_action_has_a_finite_density(config: HeadConfig) -> None:
    distribution = make_head(config, actions=1)(torch.zeros(6, FEATURES))
    actions = torch.tensor([0.0, 1.0, -1.0, -1.0 - 1e-6, 1e3, -1e8]).reshape(6, 1, 1)
    assert distribution.log_prob(actions, torch.ones_like(actions, dtype=torch.bool)).isfinite().all()


@every_head
def test_bfloat16_features_lose_no_further_precision(config: HeadConfig) -> None:
    head = make_head(config, chunk=3)
    features, actions, mask = make_inputs(0)
    rounded = features.bfloat16()
    expected = head(rounded.float()).log_prob(actions, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(rounded).log_prob(actions, mask)
    assert torch.equal(found, expected)


@every_head
def test_maximum_likelihood_finds_the_expert(config: HeadConfig) -> None:
    head = make_head(config, chunk=2)
    features = torch.eye(FEATURES)[:4]
    expert = torch.linspace(-0.9, 0.9, 16).reshape(4, 2, 2)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.2)
    for _ in range(60):
        optimiser.zero_grad()
        (-head(features).log_prob(expert, torch.ones_like(expert, dtype=torch.bool)).mean()).backward()
        optimiser.step()
    assert (head(features).mode - expert).abs().max() < 0.15


def test_gaussian_is_the_textbook_one() -> None:
    _, actions, mask = make_inputs(0, batch=4)
    mean, std = make_inputs(1, batch=4)[1], make_inputs(2, batch=4)[1].exp()
    distribution = GaussianActions(Normal(mean, std))
    expected = scipy.stats.norm.logpdf(actions.numpy(), mean.numpy(), std.numpy())
    everything = torch.ones_like(mask)
    np.testing.assert_allclose(distribution.log_prob(actions, mask), (expected * mask.numpy()).sum((1, 2)), rtol=1e-4)
    torch.testing.assert_close(
        distribution.log_prob(actions, everything), Independent(Normal(mean, std), 2).log_prob(actions)
    )
    assert torch.equal(distribution.mode, mean)


def test_fixed_std_is_min_std() -> None:
    distribution = make_head(GaussianHeadConfig(std="fixed", min_std=0.25))(torch.zeros(1, FEATURES))
    density = distribution.log_prob(distribution.mode, torch.ones(1, 1, 2, dtype=torch.bool))
    torch.testing.assert_close(density, torch.tensor([2 * scipy.stats.norm.logpdf(0, 0, 0.25)], dtype=torch.float32))


@pytest.mark.parametrize("blocks", [3, 1])
def test_mixture_is_the_one_of_torch(blocks: int) -> None:
    """Three steps of two dimensions: a mixture for each step, or one over all six entries."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4, blocks, 5, generator=random)
    mean, std = torch.randn(2, 4, blocks, 5, 6 // blocks, generator=random)
    components = Normal(mean, std.exp())
    reference = Independent(MixtureSameFamily(Categorical(logits=logits), Independent(components, 1)), 1)
    actions, valid = torch.randn(4, 3, 2, generator=random), torch.ones(4, 3, 2, dtype=torch.bool)
    found = MixtureActions(Categorical(logits=logits), components, actions=2).log_prob(actions, valid)
    torch.testing.assert_close(found, reference.log_prob(actions.reshape(4, blocks, -1)))


@given(seed=seeds)
@few_examples
def test_one_component_is_a_gaussian(seed: int) -> None:
    _, actions, mask = make_inputs(seed)
    mean, std = make_inputs(seed + 1)[1], make_inputs(seed + 2)[1].exp()
    one = Categorical(logits=torch.randn(5, 3, 1))
    mixture = MixtureActions(one, Normal(mean.unsqueeze(2), std.unsqueeze(2)), actions=2)
    gaussian = GaussianActions(Normal(mean, std))
    torch.testing.assert_close(mixture.log_prob(actions, mask), gaussian.log_prob(actions, mask))
    assert torch.equal(mixture.mode, gaussian.mode)


def test_mixtures_over_step_and_chunk_agree_on_one_step() -> None:
    step, chunk = (make_head(MixtureHeadConfig(over=over)) for over in ("step", "chunk"))
    chunk.load_state_dict(step.state_dict())
    features, actions, mask = make_inputs(0, chunk=1)
    assert torch.equal(step(features).log_prob(actions, mask), chunk(features).log_prob(actions, mask))
    assert torch.equal(step(features).mode, chunk(features).mode)


def test_mixture_over_the_chunk_does_not_mix_plans() -> None:
    """Two plans, left and right: over the chunk they stay apart, over the step each step may change its mind."""
    plans = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    evenly = torch.zeros(1, 1, 2)
    chunk = MixtureActions(Categorical(logits=evenly), Normal(plans[None, None], 0.1), actions=1)
    step = MixtureActions(Categorical(logits=evenly.expand(1, 2, 2)), Normal(plans.T[None, ..., None], 0.1), actions=1)
    kept, changed = torch.tensor([[[-1.0], [-1.0]]]), torch.tensor([[[-1.0], [1.0]]])
    valid = torch.ones(1, 2, 1, dtype=torch.bool)
    assert chunk.log_prob(kept, valid) > chunk.log_prob(changed, valid) + 100
    torch.testing.assert_close(step.log_prob(kept, valid), step.log_prob(changed, valid))


def test_mixture_executes_its_most_probable_component() -> None:
    mean = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 3, 1)
    weights = Categorical(logits=torch.tensor([[[0.0, 0.1, 1.0]]]))
    assert MixtureActions(weights, Normal(mean, 0.1), actions=1).mode.item() == 1


def histogram(probs: list[float], *, low: float, high: float) -> DiscretisedActions:
    bins = Categorical(probs=torch.tensor(probs).reshape(1, 1, 1, -1))
    return DiscretisedActions(bins, low=torch.tensor([float(low)]), high=torch.tensor([float(high)]))


def density(distribution: DiscretisedActions, action: float) -> float:
    return distribution.log_prob(torch.tensor([[[float(action)]]]), torch.ones(1, 1, 1, dtype=torch.bool)).exp().item()


def test_histogram_counts_its_bin_width() -> None:
    probs = [0.1, 0.2, 0.3, 0.4]
    reference = scipy.stats.rv_histogram((np.array(probs), np.linspace(-2, 6, 5)), density=False)
    distribution = histogram(probs, low=-2, high=6)
    for action in (1.0, 3.9):
        assert density(distribution, action) == pytest.approx(reference.pdf(action))
    for action in (-2.0, -1.0, 4.1, 5.9):
        assert density(distribution, action) == pytest.approx(0.99 * reference.pdf(action))


def test_histogram_decays_beyond_its_range() -> None:
    distribution = histogram([0.1, 0.2, 0.3, 0.4], low=-2, high=6)
    assert density(distribution, 10) == pytest.approx(0.4 * 0.01 * scipy.stats.expon.pdf(4, scale=4))
    assert density(distribution, -6) == pytest.approx(0.1 * 0.01 * scipy.stats.expon.pdf(4, scale=4))


@given(seed=seeds, bins=st.integers(2, 70))
@few_examples
def test_histogram_mode_is_inside_the_range(seed: int, bins: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = 10 * torch.randn(4, 3, 2, bins, generator=random)
    low = torch.randn(2, generator=random)
    mode = DiscretisedActions(Categorical(logits=logits), low=low, high=low + 0.5).mode
    assert mode.shape == (4, 3, 2)
    assert ((low < mode) & (mode < low + 0.5)).all()


def test_histogram_mode_is_finer_than_a_bin_and_between_no_modes() -> None:
    probs = torch.zeros(64)
    probs[[10, 11]] = 0.3  # their common edge is at 11 / 64
    probs[50] = 0.4
    assert histogram(probs.tolist(), low=0, high=1).mode.item() == pytest.approx(11 / 64)


def test_range_is_kept_with_the_parameters() -> None:
    config = DiscretisedHeadConfig(bins=8)
    trained = build_head(config, features=FEATURES, chunk=1, actions=1)
    trained.fit(torch.tensor([-3.0]), torch.tensor([5.0]))
    loaded = make_head(config, actions=1)
    loaded.load_state_dict(trained.state_dict())
    features, actions, mask = make_inputs(0, chunk=1, actions=1)
    assert torch.equal(loaded(features).log_prob(actions, mask), trained(features).log_prob(actions, mask))


def test_constant_dimension_has_a_density() -> None:
    constant = torch.zeros(1)
    head = build_head(DiscretisedHeadConfig(bins=8), features=FEATURES, chunk=1, actions=len(constant))
    head.fit(constant, constant)
    distribution = head(torch.zeros(1, FEATURES))
    assert distribution.log_prob(torch.zeros(1, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool)).isfinite().all()
    assert distribution.mode.abs().item() < 0.01
