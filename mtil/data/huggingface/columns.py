"""Which column of a Hugging Face dataset is what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Names of columns. Where there is one of episodes' numbers, a row is a step; otherwise it is an episode.

    Attributes:
        action: The expert's actions.
        task: What tells the task: a sentence, a name, or a class label whose names are one or the other.
        instruction: A sentence beside it, where `task` holds names; there need be none.
        episode: Number of the episode that a step is of.
        step: Number of the step in it.
        reward: Of each step; there need be none.
        done: Whether the episode ended; there need be none.
        observations: Those that are observations; None: all others that hold vectors of numbers or images.
    """

    action: str = "action"
    task: str = "task"
    instruction: str = "instruction"
    episode: str = "episode_index"
    step: str = "frame_index"
    reward: str = "next.reward"
    done: str = "next.done"
    observations: tuple[str, ...] | None = None

    @property
    def own(self) -> tuple[str, ...]:
        """All that are no observations."""
        return (self.action, self.task, self.instruction, self.episode, self.step, self.reward, self.done)
