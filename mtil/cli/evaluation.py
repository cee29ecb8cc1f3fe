"""Commands that evaluate, export, compare and report."""

from pathlib import Path
from typing import Annotated

import typer

from mtil.cli.options import Workers, names_in, paths_in
from mtil.ranks import this_rank


def evaluate(
    policy: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CKPT|EXPORT|OWNER/NAME", help="A run directory, checkpoint or export, or one on the Hub"
        ),
    ],
    suite: Annotated[
        str | None, typer.Option(help="Simulator, or a YAML file that describes it; by default as the run names it")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each task")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the placements, which are never those of training")] = 0,
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; by default all that the policy knows")] = None,
    condition: Annotated[
        str | None, typer.Option(help="one_hot, language, video, goal or none; by default language, if it takes that")
    ] = None,
    instructions: Annotated[Path | None, typer.Option(help="Other sentences: YAML {task: [sentence, ...]}")] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Videos that show the tasks, a folder each; else held-out demonstrations do")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips of a task whose mean is its z, where they show it")] = 3,
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

    names = names_in(tasks)
    settings = EvaluationSettings(
        suite=suite,
        episodes=episodes,
        seed=seed,
        tasks=None if names is None else tuple(names),
        condition=condition,
        instructions=instructions,
        control=read_control(control),
        videos=videos,
        clips=clips,
    )
    alone = None if replay is None else Replay.read(replay)
    result = evaluate_checkpoint(policy, settings, replay=alone, video=video, workers=workers, json=json)
    if this_rank().first:
        print_table(result)


def export(
    policy: Annotated[Path, typer.Argument(metavar="RUN|CKPT", help="A run directory or a checkpoint")],
    out: Annotated[Path, typer.Option(help="The folder to write")],
) -> None:
    """Write a policy to pass on: config.json, model.safetensors, and a model card with its success table."""
    from rich.console import Console

    from mtil.evaluation.export import export as export_policy

    export_policy(policy, out)
    Console(soft_wrap=True).print(f"exported: {out}", markup=False, highlight=False)


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

    sides = read_sides([paths_in(a), paths_in(b)])
    if json is not None:
        check_writable(json)
    comparison = compare_results(*sides)
    print_comparison(comparison)
    if json is not None:
        write_json(json, to_json(comparison), what="comparison")


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
