"""The command line. Every heavy import stands inside the command that needs it, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtil.errors import ConfigError, MtilError, unknown
from mtil.ranks import this_rank

if TYPE_CHECKING:
    from mtil.training.config import ExperimentConfig

app = typer.Typer(
    help="Multi-task imitation learning: one policy, many tasks, learned from demonstrations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Show configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Changes to it")]
Preset = Annotated[str, typer.Argument(metavar="PRESET|FILE.yaml", help="A shipped preset, or a YAML file")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; by default one for each core")]


def main(arguments: list[str] | None = None) -> None:
    """Run a command, by default the process's; a user's mistake is one line on standard error and exit status 1."""
    try:
        app(arguments)
    except MtilError as error:
        rank = this_rank()
        speaker = "mtil" if rank.count == 1 else f"mtil, {rank}"
        sys.exit(f"{speaker}: {' '.join(str(error).split())}")


@app.command()
def collect(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="e.g. metaworld-mt10")],
    out: Annotated[Path, typer.Option(help="Folder to write one file a task to")],
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; all by default")] = None,
    episodes_per_task: Annotated[int, typer.Option(min=1, help="Successful demonstrations of each task")] = 25,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    noise: Annotated[float, typer.Option(min=0, help="Deviation of noise on executed actions; labels stay clean")] = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Attempts that take longer have failed")] = None,
    steps_after_success: Annotated[int, typer.Option(min=0, help="Steps recorded beyond the first success")] = 0,
    workers: Workers = None,
) -> None:
    """Collect demonstrations from scripted experts. Run again, it finishes what was interrupted."""
    from rich.console import Console

    from mtil.collection.report import collect_and_report
    from mtil.collection.settings import CollectionSettings

    settings = CollectionSettings(suite, seed, noise, episodes_per_task, max_steps, steps_after_success)
    console = Console(quiet=not this_rank().first)
    collect_and_report(settings, out, tasks=_split(tasks), workers=workers, console=console)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A file or folder of demonstrations")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Show tasks, demos, steps and features of a dataset, and every defect; exit status 1 if there is any."""
    import json as json_format

    from mtil.data.inspection import inspect as inspect_dataset

    found = inspect_dataset(path)
    if json:
        print(json_format.dumps(found.to_json(), indent=2))
    else:
        from rich.console import Console

        from mtil.data.inspection_table import print_inspection

        print_inspection(found, Console())
    if found.defects:
        raise typer.Exit(1)


@app.command()
def train(
    preset: Preset,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/PRESET by default")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint")] = False,
) -> None:
    """Train a policy; collects the preset's demonstrations first if they are not there."""
    config = _experiment(preset, overrides)
    from rich.console import Console

    from mtil.training.experiment import train as train_policy

    train_policy(config, out or Path("runs") / Path(preset).stem, resume=resume, console=Console())


@app.command()
def evaluate(
    policy: Annotated[Path, typer.Argument(metavar="RUN|CKPT", help="A run directory or a checkpoint")],
    suite: Annotated[str | None, typer.Option(help="Simulator; by default the one that the run names")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each task")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the placements, which are never those of training")] = 0,
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; by default all that the policy knows")] = None,
    condition: Annotated[str | None, typer.Option(help="one_hot or language; by default what the policy takes")] = None,
    instructions: Annotated[Path | None, typer.Option(help="Other sentences: YAML {task: [sentence, ...]}")] = None,
    video: Annotated[Path | None, typer.Option(help="Folder for a film of each task's first episode")] = None,
    workers: Workers = None,
    json: Annotated[Path | None, typer.Option(help="Write the result to this file")] = None,
) -> None:
    """Roll a policy out on held-out placements of every task: success rates with 95% intervals."""
    from mtil.evaluation.checkpoint import evaluate_checkpoint
    from mtil.evaluation.results import check_writable, write_json
    from mtil.evaluation.table import print_table

    first = this_rank().first
    if json is not None and first:
        check_writable(json)  # before hours of work, not after
    result = evaluate_checkpoint(
        policy,
        suite=suite,
        episodes=episodes,
        seed=seed,
        tasks=_split(tasks),
        condition=condition,
        instructions=instructions,
        video=video,
        workers=workers,
    )
    if not first:
        return
    print_table(result)
    if json is not None:
        write_json(json, result)


@app.command()
def diagnose(
    policy: Annotated[Path, typer.Argument(metavar="RUN|CKPT", help="A run directory, or a checkpoint in one")],
    batches: Annotated[
        int, typer.Option(min=2, help="Batches of each way of drawing them, and groups of windows of each task")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is drawn")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the tasks' cosines and shares: .png, .svg or .pdf")] = None,
) -> None:
    """Measure, on a run's training data, which tasks' gradients fight, and how much those of batches vary."""
    from rich.console import Console

    from mtil.evaluation.results import check_writable
    from mtil.training.diagnosis import diagnose as diagnose_checkpoint
    from mtil.training.diagnosis_plot import check_suffix, write_plot
    from mtil.training.diagnosis_report import print_diagnosis, write_json

    if plot is not None:
        check_suffix(plot)
    for file in (json, plot):
        if file is not None:
            check_writable(file)
    with Console(stderr=True).status("measuring gradients"):
        diagnosis = diagnose_checkpoint(policy, batches=batches, seed=seed)
    print_diagnosis(diagnosis)
    if json is not None:
        write_json(json, diagnosis)
    if plot is not None:
        write_plot(plot, diagnosis.interference)


@config_app.command("show")
def config_show(preset: Preset, overrides: Overrides = None) -> None:
    """Print the complete YAML of a preset or file, defaults included."""
    from mtil.config import dump

    print(dump(_experiment(preset, overrides)), end="")


@config_app.command("schema")
def config_schema(preset: Preset = "mt10-state") -> None:
    """Print the JSON schema of configurations, for editors."""
    import json

    _experiment(preset, None)
    from mtil.training.config import ExperimentConfig

    print(json.dumps(ExperimentConfig.model_json_schema(), indent=2))


def _experiment(preset: str, overrides: list[str] | None) -> "ExperimentConfig":
    """The configuration that a preset's name or a file's path means."""
    from mtil.config import read
    from mtil.training.config import ExperimentConfig, presets

    shipped = presets()
    if preset in shipped:
        return read(ExperimentConfig, shipped[preset], overrides or ())
    if not preset.endswith((".yaml", ".yml")):
        raise ConfigError(f"{unknown('preset', preset, shipped)}; or the path of a .yaml file")
    return read(ExperimentConfig, Path(preset), overrides or ())


def _split(names: str | None) -> list[str] | None:
    if names is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise typer.BadParameter("expected comma-separated names", param_hint="--tasks")
    return found
