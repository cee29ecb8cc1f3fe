"""A task as LIBERO's `problem_info` attribute tells it: JSON with the task's name and its instructions.

LIBERO joins a list of `language_instruction` pieces into ONE sentence, so that paraphrases cannot stand there: the
first goes into `language_instruction`, where LIBERO's own reader finds it, and all of them into `instructions`.
"""

import json
from typing import Any

from mtil.errors import DatasetError
from mtil.types import Task


def encode(task: Task) -> str:
    """The attribute's text for a task."""
    info: dict[str, Any] = {"task_name": task.name}
    if task.instructions:
        info |= {"language_instruction": task.instructions[0], "instructions": list(task.instructions)}
    return json.dumps(info)


def decode(text: str, default_name: str) -> Task:
    """The task that the attribute's text tells.

    Args:
        text: JSON; `task_name`, `instructions` and `language_instruction` are all optional.
        default_name: The task's name where the text has none.

    Raises:
        DatasetError: The text is no JSON object, or one of these values is of the wrong type.
    """
    try:
        info = json.loads(text)
    except (ValueError, RecursionError):
        raise DatasetError(f"expected JSON, found {text[:40]!r}") from None
    if not isinstance(info, dict):
        raise DatasetError(f"expected a JSON object, found {type(info).__name__}")
    name = info.get("task_name", default_name)
    if not isinstance(name, str):
        raise DatasetError(f"task_name: expected a string, found {name!r}")
    return Task(name=name, instructions=_instructions(info))


def _instructions(info: dict[str, Any]) -> tuple[str, ...]:
    if sentences := _strings("instructions", info.get("instructions", [])):
        return tuple(sentences)
    pieces = info.get("language_instruction", "")
    sentence = "".join(_strings("language_instruction", [pieces] if isinstance(pieces, str) else pieces))
    sentence = sentence.strip('"').strip()
    return (sentence,) if sentence else ()


def _strings(key: str, values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DatasetError(f"{key}: expected a list of strings, found {str(values)[:60]!r}")
    return values
