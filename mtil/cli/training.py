"""Commands that train, and that look into a training."""

from pathlib import Path
from typing import Annotated

import typer

from mtil.cli.configurations import Overrides, Preset, experiment


def train(
    preset: Preset,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/PRESET by default")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint")] = False,
) -> None:
    """Train a policy; collects the preset's demonstrations first if they are not there."""
    config = experiment(preset, overrides)
    from rich.console import Console

    from mtil.training.experiment import train as train_policy

    train_policy(config, out or Path("runs") / Path(preset).stem, resume=resume, console=Console())


def finetune(
    policy: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|EXPORT|OWNER/NAME", help="A run directory, checkpoint or export, or one on the Hub"
        ),
    ],
    data: Annotated[Path, typer.Option(help="Demonstrations of the new tasks, or OWNER/NAME on the Hub")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/NAME-finetuned by default")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint")] = False,
) -> None:
    """Fine-tune a policy on demonstrations of more tasks, which join those that it knows.

    Lest it forget these: data.rehearsal.path=DIR mixes their demonstrations in.
    """
    from rich.console import Console

    from mtil.hub.names import on_hub
    from mtil.training.experiment import train as train_policy
    from mtil.training.finetune import finetuning

    config = finetuning(policy, data, overrides or ())
    name = on_hub(policy)
    run = out or Path("runs") / f"{Path(name.repo).name if name else policy.resolve().name}-finetuned"
    train_policy(config, run, resume=resume, console=Console())


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
