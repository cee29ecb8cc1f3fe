"""What of the configuration of data goes together."""

from typing import Any

import pytest
from pydantic import ValidationError

from mtil.data.config import DataConfig


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "expected path, mixture or stream, found none of them"),
        ({"path": "a", "mixture": [{"path": "b"}]}, "found path and mixture; path=null to train on the other"),
        ({"mixture": [{"path": "b"}], "tasks": ["lift"]}, "tasks: expected null beside a mixture"),
    ],
)
def test_a_path_or_a_mixture(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"path": "a"}, "found path and stream; path=null to train on the other"),
        ({"num_workers": 1}, "stream: expected no rehearsal, and num_workers=0"),
        ({"train_mask": "train"}, r"stream: expected no masks: stream\.held_out"),
        (
            {"validation_fraction": 0.2},
            r"expected validation_fraction=0\.1, .*found 0\.2: stream\.held_out tells how many",
        ),
        ({"stream": {"sources": ["a", "b", "a"]}}, "sources: expected each once, found 'a' twice"),
        (
            {"stream": {"sources": ["a"], "columns": {"observations": ["state", "action"]}}},
            "expected another column for each, found 'action' twice",
        ),
    ],
)
def test_what_does_not_go_with_a_stream(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate({"stream": {"sources": ["a"]}, **config})
