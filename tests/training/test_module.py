from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from mtil.data.batch import Batch
from mtil.data.datamodule import DemoDataModule
from mtil.data.randomness import seed_generators
from mtil.data.sampling import Draw
from mtil.encoders.config import kind_weights
from mtil.policies.card import Card
from mtil.policies.checkpoint import CARD
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig
from mtil.training.controls import examples_of_others
from mtil.training.module import ImitationModule
from mtil.types import FeatureSpec

MakeConfig = Callable[..., ExperimentConfig]
SEVERAL = {"kind": "multimodal", "one_hot": {"width": 8}, "language": {"width": 8}, "weights": {"language": 2}}


@pytest.fixture
def config(make_config: MakeConfig, mixed: Path) -> ExperimentConfig:
    return make_config(mixed, suite="toy")


def data_of(config: ExperimentConfig) -> DemoDataModule:
    kinds = kind_weights(config.policy.task_encoder)
    return DemoDataModule(config.data, history=config.policy.history, chunk=config.policy.chunk, kinds=kinds, seed=0)


def module_of(config: ExperimentConfig, data: DemoDataModule) -> ImitationModule:
    torch.manual_seed(0)
    policy = Policy(config.policy, data.store.spec)
    policy.fit(data.statistics)
    return ImitationModule(policy, config=config)


def batch_of(data: DemoDataModule) -> Batch:
    return data.train.__getitems__(Draw.part(0, torch.arange(len(data.train))))


def test_loss_is_the_weighted_sum(config: ExperimentConfig) -> None:
    data = data_of(config)
    module, batch = module_of(config, data), batch_of(data)
    weight = torch.rand(len(batch), generator=torch.Generator().manual_seed(0))
    outputs = module.training_step(replace(batch, weight=weight), 0)
    names = [data.store.spec.task_names[task] for task in batch.task]
    nll = module.policy.nll(batch, module.policy.embed("one_hot", names))
    torch.testing.assert_close(outputs["loss"], (weight * nll).sum())
    torch.testing.assert_close(outputs["nll"], nll.detach())
    assert outputs["loss"].requires_grad
    assert not outputs["nll"].requires_grad


def test_the_ranks_losses_average_to_that_of_one(config: ExperimentConfig) -> None:
    """Their gradients too, although the parts differ in size."""
    data = data_of(config)
    module, windows = module_of(config, data), torch.arange(7)
    parts = [Draw.part(0, windows, rank=rank, world_size=3) for rank in range(3)]
    losses = [
        module.training_step(data.train.__getitems__(draw), 0)["loss"] for draw in (Draw.part(0, windows), *parts)
    ]
    whole, *split = losses
    torch.testing.assert_close(whole, torch.stack(split).mean())


def controlled(config: ExperimentConfig, data: DemoDataModule) -> tuple[ImitationModule, Batch, dict[str, dict]]:
    """A module, its validation data in one batch, and what it makes of these."""
    module = module_of(config, data)
    module = ImitationModule(
        module.policy, config=config, others=examples_of_others(data.validation, data.store.spec, seed=0)
    )
    batch = data.validation.__getitems__(Draw.part(0, torch.arange(len(data.validation))))
    return module, batch, module.validation_step(batch, 0)


def test_validation_has_controls(config: ExperimentConfig) -> None:
    """Told the other of two tasks, and told nothing; neither is what it is told."""
    module, batch, outputs = controlled(config, data_of(config))
    policy, names = module.policy, module.policy.spec.task_names
    z = {
        "one_hot": policy.embed("one_hot", [names[task] for task in batch.task]),
        "wrong": policy.embed("one_hot", [names[1 - task] for task in batch.task]),
        "absent": torch.zeros(len(batch), policy.task_encoders.width),
    }
    assert list(outputs) == list(z)
    for told, each in z.items():
        nll, error = policy.evaluate(batch, each)
        torch.testing.assert_close(outputs[told], {"nll": nll, "error": error})


def test_told_another_task_each_example_keeps_its_kind(make_config: MakeConfig, mixed: Path, cache: Path) -> None:
    config = make_config(mixed, policy={"task_encoder": SEVERAL})
    data = data_of(config)
    module, batch, outputs = controlled(config, data)
    policy, spec = module.policy, data.store.spec
    others = examples_of_others(data.validation, data.store.spec, seed=0)
    assert others is not None
    assert others.task.tolist() == [1, 0]
    sentences = [sentence for task in spec.tasks for sentence in task.instructions]
    told = {
        "one_hot": policy.embed("one_hot", [spec.task_names[task] for task in others.task]),
        "language": policy.embed("language", [sentences[row] for row in others.descriptors["language"]]),
    }
    assert set(batch.condition.tolist()) == {0, 1}
    kinds = [policy.kinds[position] for position in batch.condition]
    z = torch.stack([told[kind][task] for kind, task in zip(kinds, batch.task, strict=True)])
    torch.testing.assert_close(outputs["wrong"]["nll"], policy.nll(batch, z))


def test_another_task_that_lacks_a_kind_is_told_in_its_own(make_config: MakeConfig, mixed: Path, cache: Path) -> None:
    config = make_config(mixed, policy={"task_encoder": SEVERAL})
    data = data_of(config)
    others = examples_of_others(data.validation, data.store.spec, seed=0)
    assert others is not None
    lacking = replace(
        others,
        descriptors=others.descriptors | {"language": torch.tensor([-1, 0])},
        condition=torch.tensor([0, 1]),
    )
    policy, spec = module_of(config, data).policy, data.store.spec
    batch = data.validation.__getitems__(Draw.part(0, torch.arange(len(data.validation))))
    batch = replace(batch, condition=torch.ones_like(batch.condition))  # all in language
    outputs = ImitationModule(policy, config=config, others=lacking).validation_step(batch, 0)
    told = torch.cat([policy.embed("one_hot", [spec.task_names[1]]), policy.embed("language", ["turn the knob"])])
    torch.testing.assert_close(outputs["wrong"]["nll"], policy.nll(batch, told[batch.task]))


def test_a_single_task_cannot_be_told_as_another(make_config: MakeConfig, mixed: Path) -> None:
    config = make_config(mixed, data={"tasks": ["wide"]})
    data = data_of(config)
    assert examples_of_others(data.validation, data.store.spec, seed=0) is None
    assert list(controlled(config, data)[2]) == ["one_hot", "absent"]


def test_a_policy_that_is_not_told_has_no_controls(make_config: MakeConfig, mixed: Path) -> None:
    config = make_config(mixed, policy={"task_encoder": {"kind": "none", "width": 8}})
    assert list(controlled(config, data_of(config))[2]) == ["none"]


def test_each_example_is_conditioned_on_its_kind(make_config: MakeConfig, mixed: Path, cache: Path) -> None:
    config = make_config(mixed, policy={"task_encoder": SEVERAL})
    data = data_of(config)
    module, batch = module_of(config, data), batch_of(data)
    z = module.embed(batch)
    assert 0 < batch.condition.sum() < len(batch)
    assert batch.condition.float().mean() == pytest.approx(2 / 3, abs=0.1)
    sentences = [sentence for task in data.store.spec.tasks for sentence in task.instructions]
    for row in range(len(batch)):
        name = data.store.spec.task_names[batch.task[row]]
        told = (("one_hot", name), ("language", sentences[batch.descriptors["language"][row]]))[batch.condition[row]]
        torch.testing.assert_close(z[row], module.policy.embed(told[0], [told[1]])[0])


def test_validation_is_of_every_kind(make_config: MakeConfig, mixed: Path, cache: Path) -> None:
    config = make_config(mixed, policy={"task_encoder": SEVERAL})
    data = data_of(config)
    module, batch = module_of(config, data), batch_of(data)
    outputs = module.validation_step(batch, 0)
    assert list(outputs) == ["one_hot", "language", "absent"]
    for kind in module.policy.kinds:
        torch.testing.assert_close(outputs[kind]["nll"], module.policy.nll(batch, module.embed(batch, kind)))


def test_validation_computes_nll_and_error(config: ExperimentConfig) -> None:
    data = data_of(config)
    module, batch = module_of(config, data), batch_of(data)
    outputs = module.validation_step(batch, 0)["one_hot"]
    torch.testing.assert_close(outputs["nll"], module.training_step(batch, 0)["nll"])
    assert outputs["error"].shape == (len(batch),)


def test_each_example_is_told_by_its_own_sentence(make_config: MakeConfig, mixed: Path, cache: Path) -> None:
    config = make_config(mixed, policy={"task_encoder": {"kind": "language", "width": 8}})
    data = data_of(config)
    module, batch = module_of(config, data), batch_of(data)
    sentences = ["turn the knob", "stir the pot", "stir it"]
    told = [sentences[row] for row in batch.descriptors["language"]]
    assert set(told) == set(sentences)
    assert all((sentence == "turn the knob") == (task == 0) for sentence, task in zip(told, batch.task, strict=True))
    torch.testing.assert_close(module.embed(batch), module.policy.embed("language", told))


@pytest.fixture
def showing(make_config: MakeConfig, mixed: Path, cache: Path) -> tuple[ImitationModule, Batch]:
    """A module that aligns clips to sentences, and a batch of which every other example is shown one of three clips."""
    backbone = {"channels": [16], "keypoints": 4, "film": False}
    video = {"width": 8, "frames": 2, "features": 8, "heads": 2, "backbone": backbone}
    several = {"kind": "multimodal", "language": {"width": 8}, "video": video, "alignment": {"weight": 2.0}}
    config = make_config(mixed, policy={"task_encoder": several, "z_noise": 0.5})
    data = DemoDataModule(config.data, history=1, chunk=1, kinds={"language": 1.0}, seed=0)
    spec, batch = data.store.spec, batch_of(data)
    torch.manual_seed(0)
    policy = Policy(config.policy, replace(spec, clip=FeatureSpec("front_image", (16, 16, 3), "uint8", "image")))
    policy.fit(data.statistics)
    shown = torch.arange(len(batch)) % 2
    batch = replace(
        batch,
        condition=shown,
        descriptors=batch.descriptors | {"video": torch.where(shown == 1, torch.arange(len(batch)) % 3, -1)},
        clips=torch.randint(256, (3, 2, 16, 16, 3), dtype=torch.uint8),
    )
    return ImitationModule(policy, config=config), batch


def test_clips_are_aligned_to_sentences(showing: tuple[ImitationModule, Batch]) -> None:
    module, batch = showing
    z, told = module.eval().embed(batch), module.embed(batch, "language")
    distance = 1 - torch.cosine_similarity(z, told)
    assert distance[0::2].abs().max() < 1e-6
    assert distance[1::2].min() > 0.01
    expected = (batch.weight * (module.policy.nll(batch, z) + 2 * distance)).sum()
    torch.testing.assert_close(module.training_step(batch, 0)["loss"], expected)


def test_z_is_noisy_in_training_alone(showing: tuple[ImitationModule, Batch]) -> None:
    module, batch = showing
    plain = module.policy.nll(batch, module.embed(batch))
    assert (module.training_step(batch, 0)["nll"] - plain).abs().min() > 0
    assert torch.equal(module.eval().training_step(batch, 0)["nll"], plain)


@pytest.fixture
def seeing(make_config: MakeConfig, mixed: Path) -> tuple[ImitationModule, Batch]:
    """A module that augments images, and a batch with such."""
    camera = FeatureSpec("front_image", (16, 16, 3), "uint8", "image")
    small = {"channels": [16], "keypoints": 4}
    config = make_config(mixed, data={"augmentation": {}}, policy={"image_encoder": small})
    data = data_of(config)
    spec, batch = data.store.spec, batch_of(data)
    torch.manual_seed(0)
    policy = Policy(config.policy, replace(spec, observations=(*spec.observations, camera)))
    policy.fit(data.statistics)
    images = torch.randint(256, (len(batch), config.policy.history, *camera.shape), dtype=torch.uint8)
    batch = replace(batch, observations=batch.observations | {camera.key: images})
    return ImitationModule(policy, config=config), batch


def test_images_are_augmented_in_training_alone(seeing: tuple[ImitationModule, Batch]) -> None:
    module, batch = seeing
    plain = module.policy.nll(batch, module.embed(batch))
    assert not torch.equal(module.training_step(batch, 0)["nll"], plain)
    assert torch.equal(module.validation_step(batch, 0)["one_hot"]["nll"], plain)
    assert torch.equal(module.eval().training_step(batch, 0)["nll"], plain)  # as it is diagnosed


def test_augmentation_is_drawn_by_seed_and_step(seeing: tuple[ImitationModule, Batch]) -> None:
    """So that a resumed run sees what an uninterrupted one does."""
    module, batch = seeing

    def nll(step: int, seed: int = 0) -> torch.Tensor:
        seed_generators(seed, step, rank=0)
        return module.training_step(batch, 0)["nll"]

    first, second, again, other = nll(5), nll(6), nll(5), nll(5, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_vectors_are_not_decayed(config: ExperimentConfig) -> None:
    module = module_of(config, data_of(config))
    optimizer: Any = module.configure_optimizers()
    decayed, free = optimizer["optimizer"].param_groups
    assert decayed["weight_decay"] == config.optimizer.weight_decay > 0
    assert free["weight_decay"] == 0
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    every = {id(parameter) for parameter in module.parameters()}
    assert {id(parameter) for group in (decayed, free) for parameter in group["params"]} == every


def test_checkpoint_holds_a_card_and_only_the_policy(config: ExperimentConfig) -> None:
    module = module_of(config, data_of(config))
    assert all(name.startswith("policy.") for name in module.state_dict())
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    file = BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    card = Card.from_json(torch.load(file, weights_only=True)[CARD])
    assert card == Card(config.policy, module.policy.spec, "toy")
