"""The page: one file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mtil.errors import OutputError
from mtil.evaluation.table import protocol
from mtil.files import check_writable, replacing
from mtil.report.commands import evaluation_command, training_command
from mtil.report.controls import Controls, controls
from mtil.report.curves import Curves, curves
from mtil.report.elsewhere import Elsewhere, elsewhere
from mtil.report.embeddings import Embeddings, embeddings
from mtil.report.episodes import Episodes, Filming, episodes
from mtil.report.films import films
from mtil.report.headline import Headline, headline
from mtil.report.kinds import Kinds, kinds
from mtil.report.run import Run, read_runs
from mtil.report.sentences import Sentences, sentences
from mtil.report.subject import Subject, subjects
from mtil.report.success import SuccessRow, success_rows


@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    title: str
    subjects: Sequence[Subject]
    headlines: Sequence[Headline]
    protocols: Sequence[str]
    success: Sequence[SuccessRow]
    elsewhere: Sequence[Elsewhere]
    kinds: Sequence[Kinds]
    controls: Sequence[Controls]
    sentences: Sequence[Sentences]
    embeddings: Sequence[Embeddings]
    curves: Curves
    episodes: Episodes
    runs: Sequence[Run]
    filmed: bool


def write_report(paths: Sequence[Path], out: Path, *, count: int) -> None:
    """Write the report of runs, replacing the file in one move.

    Args:
        paths: Run directories.
        out: The HTML file.
        count: Films of failures at most.

    Raises:
        CheckpointError: A run is given twice, cannot be read, has no evaluation, or its checkpoint is no longer the
            evaluated one.
        ConfigError: A run's configuration cannot be read.
        OutputError: The file cannot be written.
    """
    runs = read_runs(paths)
    check_writable(out, "report")  # before minutes of filming, not after
    text = render(page(runs, count=count))
    try:
        with replacing(out) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: the report cannot be written: {error.strerror}") from None


def page(runs: Sequence[Run], *, count: int, filming: Filming = films) -> Page:
    """Gather what is to be shown of runs."""
    found = subjects(runs)
    success = success_rows(found)
    tasks = [row.task for row in success]
    untold = [subject for subject in found if not subject.told]
    return Page(
        title=", ".join(subject.name for subject in found),
        subjects=found,
        headlines=[headline(subject) for subject in found],
        protocols=list(dict.fromkeys(_protocol(subject) for subject in found)),
        success=success,
        elsewhere=[each for subject in found for each in elsewhere(subject)],
        kinds=[each for subject in found if (each := kinds(subject))],
        controls=[controls(subject, untold) for subject in found if subject.told],
        sentences=[each for subject in found for each in sentences(subject)],
        embeddings=[each for run in runs if (each := embeddings(run))],
        curves=curves([(run.name, run.metrics) for run in runs], tasks),
        episodes=episodes(found, tasks, count=count, filming=filming),
        runs=runs,
        filmed=count > 0,
    )


def render(found: Page) -> str:
    """The page as HTML. Whatever came from a file is escaped."""
    return _environment().get_template("page.html").render(page=found)


def _protocol(subject: Subject) -> str:
    """How all its seeds were evaluated."""
    first, *others = [run.result.protocol for run in subject.runs]
    if not others:
        return protocol(first)
    checkpoints = ", ".join(each.checkpoint for each in (first, *others))
    seeds = f"over placements, and over the {len(subject.runs)} seeds of the training"
    return protocol(replace(first, checkpoint=checkpoints), intervals=seeds)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mtil.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": lambda rate: f"{100 * rate:.1f}", "counted": _counted}
    environment.globals |= {"evaluation_command": evaluation_command, "training_command": training_command}
    return environment
