"""Which configuration is meant, and commands that show it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtil.errors import ConfigError, unknown

if TYPE_CHECKING:
    from mtil.training.config import ExperimentConfig

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Changes to it")]
Preset = Annotated[str, typer.Argument(metavar="PRESET|FILE.yaml", help="A shipped preset, or a YAML file")]


def show(preset: Preset, overrides: Overrides = None) -> None:
    """Print the complete YAML of a preset or file, defaults included."""
    from mtil.config import dump

    print(dump(experiment(preset, overrides)), end="")


def schema(preset: Preset = "mt10-state") -> None:
    """Print the JSON schema of configurations, for editors."""
    import json

    experiment(preset, None)
    from mtil.training.config import ExperimentConfig

    print(json.dumps(ExperimentConfig.model_json_schema(), indent=2))


def experiment(preset: str, overrides: list[str] | None) -> "ExperimentConfig":
    """The configuration that a preset's name or a file's path means."""
    from mtil.config import read
    from mtil.training.config import ExperimentConfig, presets

    shipped = presets()
    if preset in shipped:
        return read(ExperimentConfig, shipped[preset], overrides or ())
    if not preset.endswith((".yaml", ".yml")):
        raise ConfigError(f"{unknown('preset', preset, shipped)}; or the path of a .yaml file")
    return read(ExperimentConfig, Path(preset), overrides or ())
