"""The command line. Every heavy import stands inside the command that needs it, so that `--help` answers at once."""

import sys

import typer

from mtil.cli import configurations, demonstrations, evaluation, serving, sharing, training
from mtil.errors import MtilError
from mtil.ranks import this_rank

app = typer.Typer(
    help="Multi-task imitation learning: one policy, many tasks, learned from demonstrations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Show configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")

for command in (
    demonstrations.collect,
    demonstrations.inspect,
    demonstrations.convert,
    training.train,
    training.finetune,
    evaluation.evaluate,
    evaluation.export,
    evaluation.compare,
    evaluation.report,
    sharing.push,
    serving.serve,
    training.diagnose,
):
    app.command()(command)
for command in (configurations.show, configurations.schema):
    config_app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run a command, by default the process's; a user's mistake is one line on standard error and exit status 1."""
    try:
        app(arguments)
    except MtilError as error:
        rank = this_rank()
        speaker = "mtil" if rank.count == 1 else f"mtil, {rank}"
        sys.exit(f"{speaker}: {' '.join(str(error).split())}")
