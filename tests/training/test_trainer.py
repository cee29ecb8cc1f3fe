import logging
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from mtil.data.datamodule import DemoDataModule
from mtil.errors import ConfigError
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig
from mtil.training.module import ImitationModule
from mtil.training.trainer import build_trainer, fit, quiet
from mtil.types import DatasetSpec

MakeConfig = Callable[..., ExperimentConfig]


class AtStep(Callback):
    """Does something once a step is done."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self._step, self._action = step, action

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:
            self._action()


def train_until(config: ExperimentConfig, run: Path, action: Callable[[], object]) -> None:
    """A run in which something happens after step 3."""
    data = DemoDataModule(config.data, history=1, chunk=1, kinds={"one_hot": 1.0}, seed=0)
    policy = Policy(config.policy, data.store.spec)
    policy.fit(data.statistics)
    with quiet():
        trainer = build_trainer(config, run, spec=data.store.spec, held_out=False)
        trainer.callbacks.append(AtStep(3, action))  # type: ignore[attr-defined]
        fit(trainer, ImitationModule(policy, config=config), data, None)


def test_ctrl_c_is_handed_on(make_config: MakeConfig, opposites: Path, tmp_path: Path, interrupts: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_until(make_config(opposites), tmp_path, lambda: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_exit_stays_one(make_config: MakeConfig, opposites: Path, tmp_path: Path) -> None:
    def leave() -> None:
        raise SystemExit(5)

    with pytest.raises(SystemExit, match="5"):
        train_until(make_config(opposites), tmp_path, leave)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"accelerator": "quantum"}, "trainer: .*quantum"),
        ({"strategy": "luck"}, "trainer: .*luck"),
        ({"devices": 0}, "trainer: .*0"),
        ({"devices": 17}, "data.batch_size: expected an example at least for each of 17 devices, found 16"),
        ({"num_nodes": 2}, "trainer.num_nodes: several machines need a launcher"),
        ({"devices": "auto", "strategy": "fsdp"}, "trainer.devices: fsdp needs their number, found 'auto'"),
    ],
)
def test_what_lightning_does_not_have(
    make_config: MakeConfig, tmp_path: Path, left: DatasetSpec, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_trainer(make_config(tmp_path, trainer=setting), tmp_path / "run", spec=left, held_out=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_nothing_to_compile_with(
    make_config: MakeConfig, tmp_path: Path, left: DatasetSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(ConfigError, match=r"trainer.compile: expected a C\+\+ compiler, found no /no/such/compiler"):
        build_trainer(make_config(tmp_path, trainer={"compile": True}), tmp_path, spec=left, held_out=False)


def test_lightning_says_nothing(
    make_config: MakeConfig, opposites: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does it warn: here, a warning would be an error."""
    lightning = logging.getLogger("lightning.pytorch")
    lightning.addHandler(caplog.handler)
    try:
        train_until(make_config(opposites, trainer={"max_steps": 4}), tmp_path, lambda: None)
        assert caplog.messages == []
        logging.getLogger("lightning.pytorch.utilities").info("heard again")
        assert set(caplog.messages) == {"heard again"}
    finally:
        lightning.removeHandler(caplog.handler)


def test_other_warnings_are_heard() -> None:
    with quiet(), pytest.warns(UserWarning, match="the loss is not finite"):
        warnings.warn("the loss is not finite", stacklevel=1)
