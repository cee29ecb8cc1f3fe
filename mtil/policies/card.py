"""What a policy is, beside its weights: in a checkpoint as in an export."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtil import __version__
from mtil.policies.config import PolicyConfig
from mtil.types import DatasetSpec


@dataclass(frozen=True)
class Card:
    """What a policy is, beside its weights.

    Attributes:
        config: Architecture.
        spec: Vocabulary and features.
        suite: The simulator that its tasks live in, if any.
    """

    config: PolicyConfig
    spec: DatasetSpec
    suite: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "version": __version__,
            "config": self.config.model_dump(mode="json"),
            "spec": self.spec.to_json(),
            "suite": self.suite,
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Card":
        """The inverse of `to_json`."""
        config = PolicyConfig.model_validate(values["config"])
        return Card(config, DatasetSpec.from_json(values["spec"]), values["suite"])
