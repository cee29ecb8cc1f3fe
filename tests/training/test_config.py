import json

import pytest
import yaml

from mtil.config import dump, load, read
from mtil.data.config import StratifiedSampling, UniformSampling
from mtil.encoders.config import LanguageConfig, OneHotConfig, UnconditionalConfig
from mtil.errors import ConfigError
from mtil.policies.config import DiscretisedHeadConfig, GaussianHeadConfig, MixtureHeadConfig
from mtil.training.config import ExperimentConfig, presets

LEAST = "data: {path: demos}"


def test_only_the_data_must_be_named() -> None:
    config = load(ExperimentConfig, LEAST)
    assert str(config.data.path) == "demos"
    assert config.suite is None
    assert config.collection is None


@pytest.mark.parametrize("name", presets())
def test_a_preset_loads_and_its_dump_is_a_fixed_point(name: str) -> None:
    config = read(ExperimentConfig, presets()[name])
    text = dump(config)
    assert load(ExperimentConfig, text) == config
    assert dump(load(ExperimentConfig, text)) == text
    assert yaml.safe_load(text) == json.loads(config.model_dump_json())


@pytest.mark.parametrize("name", presets())
def test_a_preset_can_collect_its_data(name: str) -> None:
    config = read(ExperimentConfig, presets()[name])
    assert config.suite is not None
    assert config.collection is not None
    assert config.data.path is not None
    assert config.data.path.parts == ("data", name)


@pytest.mark.parametrize(
    ("override", "of", "expected"),
    [
        ("policy.head.kind=mixture", "head", MixtureHeadConfig()),
        ("policy.head.kind=discretised", "head", DiscretisedHeadConfig()),
        ("policy.head.min_std=0.1", "head", GaussianHeadConfig(min_std=0.1)),
        ("policy.task_encoder.kind=one_hot", "task_encoder", OneHotConfig()),
        ("policy.task_encoder.kind=none", "task_encoder", UnconditionalConfig()),
        ("policy.task_encoder.width=8", "task_encoder", LanguageConfig(width=8)),
    ],
)
def test_members_of_a_family_are_chosen_by_kind(override: str, of: str, expected: object) -> None:
    assert getattr(load(ExperimentConfig, LEAST, [override]).policy, of) == expected


def test_sampling() -> None:
    assert load(ExperimentConfig, LEAST, ["data.sampling.alpha=0.5"]).data.sampling == StratifiedSampling(alpha=0.5)
    assert load(ExperimentConfig, LEAST, ["data.sampling.kind=uniform"]).data.sampling == UniformSampling()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policy.head.componentz=3", r"policy\.head\.componentz: unknown key .*\(of kind 'gaussian'\)"),
        ("policy.head={kind: mixture, componentz: 3}", r"policy\.head\.componentz: .* did you mean 'components'\?"),
        ("policy.task_encoder.widht=3", r"policy\.task_encoder\.widht: .* did you mean 'width'\? valid: model, tuning"),
        ("data.sampling.alhpa=1", r"data\.sampling\.alhpa: .* did you mean 'alpha'\? valid: kind, alpha, weights"),
        ("policy.head.kind=gausian", r"policy\.head\.kind: unknown kind 'gausian'; did you mean 'gaussian'\?"),
        ("policy.trunk.kind=ml", r"policy\.trunk\.kind: unknown kind 'ml'; did you mean 'mlp'\?"),
        ("trainer.max_stesp=1", r"trainer\.max_stesp: .* did you mean 'max_steps'\?"),
        ("trainer.max_steps=abc", r"trainer\.max_steps: input should be a valid integer.*found 'abc'"),
        ("trainer.devices=[1]", r"trainer\.devices: input should be a valid integer, found \[1\] or .* valid string"),
        ("data.sampling.weights={a: 0}", r"data\.sampling\.weights\.a: input should be greater than 0, found 0"),
        ("data.validation_fraction=1", r"data\.validation_fraction: input should be less than 1, found 1"),
        ("seed=-1", r"seed: input should be greater than or equal to 0, found -1"),
        ("seed=4294967296", r"seed: input should be less than 4294967296, found 4294967296"),
    ],
)
def test_mistakes(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^config: {message}"):
        load(ExperimentConfig, LEAST, [override])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("data.mixture=[{path: a}]", r"data\.mixture, whose datasets must be there"),
        ("data.stream={sources: [a]}", r"data\.stream, whose sources must be there"),
    ],
)
def test_what_is_collected_goes_into_a_path(data: str, found: str) -> None:
    with pytest.raises(ConfigError, match=f"collection: expected null beside {found}"):
        load(ExperimentConfig, LEAST, ["data.path=null", data, "suite=toy", "collection={}"])
