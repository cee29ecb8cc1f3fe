"""The tree of errors that a user can put right. The command line prints one as a single line, exit status 1."""

import difflib
from collections.abc import Iterable


class MtilError(Exception):
    """Root of everything a user did wrong: the message names the offender, what was expected, and what was found."""


class ConfigError(MtilError):
    """A configuration key that does not exist, or a value that does not fit."""


class DatasetError(MtilError):
    """Demonstrations on disk that cannot be trained on."""


class EncoderError(MtilError):
    """A pretrained model that is missing, altered or of the wrong kind."""


class CheckpointError(MtilError):
    """A run or checkpoint that cannot be read, or does not fit what is asked of it."""


class SimulatorError(MtilError):
    """A simulator, task or camera that does not exist, or does not fit the policy."""


class ServingError(MtilError):
    """An address that cannot be listened at, or a request to a served policy that does not fit."""


class OutputError(MtilError):
    """A place to write to that is taken, full or forbidden."""


class HubError(MtilError):
    """A name on the Hub that is not there, cannot be reached, or may not be written to."""


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """The sentence for a name that does not exist: the nearest valid one, then all of them.

    Args:
        what: Kind of thing named, e.g. `"task"`.
        name: The name that was given.
        valid: The names that exist.
    """
    names = list(valid)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ";"
    return f"unknown {what} {name!r}{hint} valid: {', '.join(names) or 'none'}"
