"""Parts of a policy, by the names of their tensors."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from mtil.errors import ConfigError, unknown
from mtil.policies.policy import TASKS


def part_name(name: str) -> str:
    """Which part of a policy a tensor belongs to, by its name; each task encoder, and each kind of stream, is one."""
    names = name.replace(TASKS, "task_encoders.").split(".")
    return ".".join(names[: 2 if names[0].endswith(("encoder", "encoders")) else 1])


def matching(names: Iterable[str], patterns: Sequence[str], *, option: str) -> set[str]:
    """The names that any of the patterns matches, as a shell matches those of files.

    Raises:
        ConfigError: A pattern matches none.
    """
    names = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            parts = dict.fromkeys(".".join(name.split(".")[:2]) + ".*" for name in names)
            raise ConfigError(f"{option}: {unknown('parameters', pattern, parts)}")
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}
