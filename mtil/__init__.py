"""Multi-task imitation learning: one policy, many tasks, learned from demonstrations."""

from importlib.metadata import version

__version__ = version("mtil")
