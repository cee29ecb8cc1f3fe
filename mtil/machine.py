"""What a result was computed with: the machine, and the versions of what ran on it."""

import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "mtil",
    "torch",
    "lightning",
    "transformers",
    "numpy",
    "gymnasium",
    "mujoco",
    "metaworld",
    "gymnasium-robotics",
)


@dataclass(frozen=True)
class Machine:
    """A machine and its software.

    Attributes:
        system: Name of the operating system.
        processor: Model of the CPU.
        cores: CPU cores that the process may use.
        memory: Of the machine, in GiB.
        accelerators: Names of the GPUs.
        python: Version of Python.
        packages: Versions of the packages that matter, of those that are installed.
    """

    system: str
    processor: str
    cores: int
    memory: float
    accelerators: tuple[str, ...]
    python: str
    packages: dict[str, str]


@cache
def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(
        system=platform.platform(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        accelerators=_accelerators(),
        python=platform.python_version(),
        packages={name: found for name in _PACKAGES if (found := _version(name))},
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _accelerators() -> tuple[str, ...]:
    import torch

    return tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
