"""When an environment that tells of no success has reached its goal: rules that a suite's file names."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mtil.config import Config
from mtil.errors import SimulatorError


class InfoRule(Config):
    """What a step's `info` holds under a key: true, or within bounds."""

    kind: Literal["info"] = "info"
    key: str = Field(description="Of the info; one that is not there by the end of an episode is an error")
    at_least: float | None = Field(default=None, description="Of a number; without bounds, it is to be true, or not 0")
    at_most: float | None = None

    def __str__(self) -> str:
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return f"the environment's {self.key!r} {' and '.join(bounds) or 'true'} at any step"


class RewardRule(Config):
    """The reward of a single step."""

    kind: Literal["reward"] = "reward"
    at_least: float

    def __str__(self) -> str:
        return f"a reward of at least {self.at_least:g} at any step"


class ReturnRule(Config):
    """The sum of an episode's rewards, not discounted: known at its end, and so judged there alone."""

    kind: Literal["return"] = "return"
    at_least: float

    def __str__(self) -> str:
        return f"rewards that sum up to at least {self.at_least:g} at the end of the episode"


class TerminationRule(Config):
    """That the environment terminates the episode, where only the goal makes it do so."""

    kind: Literal["terminated"] = "terminated"

    def __str__(self) -> str:
        return "the environment ending the episode by itself (terminated)"


Rule = Annotated[InfoRule | RewardRule | ReturnRule | TerminationRule, Field(discriminator="kind")]


class Judge:
    """Tells of each step of an episode whether the goal is reached.

    Args:
        rule: What counts.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.begin()

    def begin(self) -> None:
        """An episode begins."""
        self._sum = 0.0
        self._told = False

    def judge(self, reward: float, info: Mapping[str, Any], *, terminated: bool, over: bool) -> bool:
        """Whether a step reached the goal.

        Args:
            reward: Of the step.
            info: Of the step.
            terminated: Whether the environment terminated the episode.
            over: Whether the episode is over, terminated or truncated.

        Raises:
            SimulatorError: The info does not tell.
        """
        self._sum += reward
        match self._rule:
            case InfoRule():
                return self._is_told(self._rule, info, over=over)
            case RewardRule(at_least=least):
                return reward >= least
            case ReturnRule(at_least=least):
                return over and self._sum >= least
            case TerminationRule():
                return terminated

    # Some environments tell at the end alone: not to tell is a mistake only there.
    def _is_told(self, rule: InfoRule, info: Mapping[str, Any], *, over: bool) -> bool:
        if rule.key in info:
            self._told = True
            value = _number(rule.key, info[rule.key])
            if rule.at_least is None and rule.at_most is None:
                return bool(value)
            return (rule.at_least is None or value >= rule.at_least) and (rule.at_most is None or value <= rule.at_most)
        if over and not self._told:
            found = ", ".join(sorted(map(str, info))) or "nothing"
            raise SimulatorError(f"success: expected {rule.key!r} in the environment's info, found {found}")
        return False


def _number(key: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise SimulatorError(f"success: expected true, false or a number as info's {key!r}, found {value!r}")
    return float(array.reshape(())[()])
