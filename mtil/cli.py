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
    camera: Annotated[
        str | None, typer.Option(metavar="C[,C2]", help="Cameras to record images of; none by default")
    ] = None,
    image_size: Annotated[int, typer.Option(min=1, help="Height and width of the images")] = 84,
    crop: Annotated[
        list[str] | None,
        typer.Option(metavar="C=L,T,R,B", help="What to keep of a camera: left, top, right, bottom, as fractions"),
    ] = None,
    workers: Workers = None,
) -> None:
    """Collect demonstrations from scripted experts. Run again, it finishes what was interrupted."""
    from rich.console import Console

    from mtil.collection.config import read_cameras
    from mtil.collection.report import collect_and_report
    from mtil.collection.settings import CollectionSettings

    settings = CollectionSettings(
        suite=suite,
        seed=seed,
        noise=noise,
        episodes_per_task=episodes_per_task,
        max_steps=max_steps,
        steps_after_success=steps_after_success,
        cameras=read_cameras(_split(camera, "--camera") or (), size=image_size, crops=crop or ()),
    )
    console = Console(quiet=not this_rank().first)
    collect_and_report(settings, out, tasks=_split(tasks), workers=workers, console=console)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A file or folder of demonstrations")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Picture of each task's first demonstration, as the policy sees it")
    ] = None,
) -> None:
    """Show tasks, demos, steps and features of a dataset, and every defect; exit status 1 if there is any."""
    import json as json_format

    from mtil.data.inspection import inspect as inspect_dataset
    from mtil.pictures import check_suffix

    if contact_sheet is not None:
        check_suffix(contact_sheet)
    found = inspect_dataset(path)
    if json:
        print(json_format.dumps(found.to_json(), indent=2))
    else:
        from rich.console import Console

        from mtil.data.inspection_table import print_inspection

        print_inspection(found, Console())
    if contact_sheet is not None:
        from mtil.data.contact_sheet import write_contact_sheet
        from mtil.data.hdf5 import open_tasks

        write_contact_sheet(contact_sheet, open_tasks(path))
    if found.defects:
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A file or folder of demonstrations")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The file or folder to write")],
    to: Annotated[str, typer.Option(metavar="hdf5", help="Layout: hdf5, contiguous and uncompressed")],
) -> None:
    """Write demonstrations anew as they are read fastest, every value as it is. Run again, it finishes its work."""
    from mtil.data.conversion import convert as convert_dataset
    from mtil.data.conversion import progress_bar

    with progress_bar() as report:
        written, kept = convert_dataset(source, destination, layout=to, report=report)
    print(f"{destination}: {written} files written, {kept} kept")


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
    condition: Annotated[
        str | None, typer.Option(help="one_hot, language or none; by default what the policy takes")
    ] = None,
    instructions: Annotated[Path | None, typer.Option(help="Other sentences: YAML {task: [sentence, ...]}")] = None,
    control: Annotated[
        str | None, typer.Option(metavar="wrong|absent", help="Tell each task as another one, or not at all (z = 0)")
    ] = None,
    replay: Annotated[
        str | None, typer.Option(metavar="[TASK:]EPISODE", help="Run one episode alone, of each task or of one")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Folder for films of each task's first episode, or of those replayed")
    ] = None,
    workers: Workers = None,
    json: Annotated[Path | None, typer.Option(help="Write the result to this file, too")] = None,
) -> None:
    """Roll a policy out on held-out placements of every task: success rates with 95% intervals.

    The result is kept in the run directory, RUN/evaluation. Run again, it finishes what was interrupted.
    """
    from mtil.evaluation.checkpoint import evaluate_checkpoint
    from mtil.evaluation.controls import read_control
    from mtil.evaluation.settings import EvaluationSettings, Replay
    from mtil.evaluation.table import print_table

    names = _split(tasks)
    settings = EvaluationSettings(
        suite=suite,
        episodes=episodes,
        seed=seed,
        tasks=None if names is None else tuple(names),
        condition=condition,
        instructions=instructions,
        control=read_control(control),
    )
    alone = None if replay is None else Replay.read(replay)
    result = evaluate_checkpoint(policy, settings, replay=alone, video=video, workers=workers, json=json)
    if this_rank().first:
        print_table(result)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="RUN|JSON[,...]", help="Result, or those of several training seeds")],
    b: Annotated[str, typer.Argument(metavar="RUN|JSON[,...]", help="The ones to subtract")],
    json: Annotated[Path | None, typer.Option(help="Write everything to this file")] = None,
) -> None:
    """Compare two policies on the same placements: differences of success with 95% intervals.

    A run stands for its result in RUN/evaluation, several runs for the seeds of one training.
    """
    from mtil.evaluation.comparison import compare as compare_results
    from mtil.evaluation.comparison_table import print_comparison, to_json
    from mtil.evaluation.sources import read_sides
    from mtil.files import check_writable, write_json

    sides = read_sides([_paths(a), _paths(b)])
    if json is not None:
        check_writable(json)
    comparison = compare_results(*sides)
    print_comparison(comparison)
    if json is not None:
        write_json(json, to_json(comparison), what="comparison")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories that have been evaluated")],
    out: Annotated[Path | None, typer.Option(help="HTML file; RUN/report.html by default")] = None,
    films: Annotated[int, typer.Option(min=0, help="Failures to film, at most; each is run again for it")] = 24,
) -> None:
    """Write one HTML page that needs no network: success, controls, learning curves, every failure with its film.

    Several runs stand side by side; those that differ in their seeds alone are one.
    """
    from rich.console import Console

    from mtil.report.page import write_report

    if out is None and len(runs) > 1:
        raise typer.BadParameter("expected a file for the report of several runs", param_hint="--out")
    out = out or runs[0] / "report.html"
    write_report(runs, out, count=films)
    Console(soft_wrap=True).print(f"report: {out}", markup=False, highlight=False)


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

    from mtil.files import check_writable, write_json
    from mtil.pictures import check_suffix
    from mtil.training.diagnosis import diagnose as diagnose_checkpoint
    from mtil.training.diagnosis_plot import write_plot
    from mtil.training.diagnosis_report import print_diagnosis, to_json

    if plot is not None:
        check_suffix(plot)
    for file in (json, plot):
        if file is not None:
            check_writable(file)
    with Console(stderr=True).status("measuring gradients"):
        diagnosis = diagnose_checkpoint(policy, batches=batches, seed=seed)
    print_diagnosis(diagnosis)
    if json is not None:
        write_json(json, to_json(diagnosis), what="diagnosis")
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


def _split(names: str | None, option: str = "--tasks") -> list[str] | None:
    if names is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise typer.BadParameter("expected comma-separated names", param_hint=option)
    return found


def _paths(names: str) -> list[Path]:
    found = [Path(name.strip()) for name in names.split(",") if name.strip()]
    if not found:
        raise typer.BadParameter("expected comma-separated runs or files", param_hint="RUN|JSON")
    return found
