"""What an evaluation is asked to do: everything that decides what its numbers mean, beside the checkpoint."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mtil.errors import ConfigError, SimulatorError, unknown
from mtil.evaluation.metrics import Control, EvaluationResult


@dataclass(frozen=True)
class EvaluationSettings:
    """The options of `mtil evaluate` that decide its numbers.

    Attributes:
        suite: Name of the simulator; None: the one that the checkpoint names.
        episodes: Episodes of each task.
        seed: Of the placements, and of which task is told as which under the control `"wrong"`.
        tasks: Their names; None: all that policy and suite have in common.
        condition: Kind of descriptor; None: language if the policy takes it, else what it takes.
        instructions: File of sentences to use in place of those of the training.
        control: What the policy is told in place of its task.
        videos: Folder of videos that show the tasks, in place of demonstrations held out of the training.
        clips: How many of a task's clips make its z, their mean, where clips show it.
    """

    suite: str | None = None
    episodes: int = 50
    seed: int = 0
    tasks: tuple[str, ...] | None = None
    condition: str | None = None
    instructions: Path | None = None
    control: Control | None = None
    videos: Path | None = None
    clips: int = 3

    @staticmethod
    def of(result: EvaluationResult) -> "EvaluationSettings":
        """Those that gave a result."""
        protocol = result.protocol
        return EvaluationSettings(
            suite=protocol.suite,
            episodes=protocol.episodes_per_task,
            seed=protocol.seed,
            tasks=tuple(task.task for task in result.tasks),
            condition=protocol.condition,
            instructions=None if protocol.instructions is None else Path(protocol.instructions),
            control=protocol.control,
            videos=None if protocol.videos is None else Path(protocol.videos),
            clips=protocol.clips or EvaluationSettings.clips,
        )


@dataclass(frozen=True)
class Replay:
    """The episode to run alone, of one task or of each.

    Attributes:
        episode: Its position among the task's episodes.
        task: Name of the task; None: of each.
    """

    episode: int
    task: str | None = None

    @staticmethod
    def read(text: str) -> "Replay":
        """From `EPISODE` or `TASK:EPISODE`.

        Raises:
            ConfigError: It is neither.
        """
        task, _, episode = text.rpartition(":")
        if not (episode.isascii() and episode.isdigit()):
            raise ConfigError(f"replay {text!r}: expected the number of an episode, or TASK:NUMBER")
        return Replay(int(episode), task or None)

    def of(self, tasks: Iterable[str]) -> list[str]:
        """The tasks, of those evaluated, whose episode is to be run.

        Raises:
            SimulatorError: The task is not evaluated.
        """
        tasks = list(tasks)
        if self.task is not None and self.task not in tasks:
            raise SimulatorError(f"replay: {unknown('task', self.task, tasks)}")
        return [task for task in tasks if self.task in (None, task)]
