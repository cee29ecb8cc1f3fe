"""The task as a goal: the state, or the image, that is to be reached.

Legend: N goals, D dimensions of the space of goals, G features of its state, h x w pixels, Z width of z.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.backbone import build_backbone, see
from mtil.encoders.base import Goal, TaskEncoder, side_by_side
from mtil.encoders.config import GoalConfig, NormalizationConfig
from mtil.encoders.observation import StateEncoder
from mtil.encoders.vision import part_of
from mtil.errors import EncoderError
from mtil.types import FeatureSpec


class GoalEncoder(TaskEncoder[Goal]):
    """Goals as states, normalised, or as an image seen by a backbone; and a perceptron.

    Args:
        config: Sizes, and which backbone.
        space: What goals are made of.
        state: Of such an encoder, where it is to be loaded: no pretrained backbone is then looked up.

    Attributes:
        shape: Of a goal: (D,) or (h, w, 3).

    Raises:
        EncoderError: Nothing is said of what goals are made of, or images are too small for the backbone.
    """

    kind = "goal"

    def __init__(
        self, config: GoalConfig, space: Sequence[FeatureSpec], *, state: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        if not space:
            raise EncoderError("a policy that is given goals needs data that say what these are (data.goals)")
        self.width = config.width
        self._sizes = {feature.key: feature.shape[0] for feature in space}
        if space[0].kind == "image":
            self.shape = space[0].shape
            stored = part_of(state, "backbone.")
            self.backbone = build_backbone(config.backbone, space[0], state=stored)
            features = self.backbone.width
        else:
            self.shape = (sum(self._sizes.values()),)
            self.states = StateEncoder(space)
            features = self.states.width
        self.output = nn.Sequential(
            nn.Linear(features, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.width),
            nn.LayerNorm(config.width),
        )

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        if len(self.shape) == 1:
            self.states.fit(statistics, config)

    def prepare(self, descriptors: Sequence[Goal]) -> Shaped[Tensor, "N ..."]:
        """Goals side by side.

        Raises:
            EncoderError: One has another shape than the encoder takes.
        """
        return side_by_side(descriptors, self.shape, what="goals").to(self._weight.device)

    def forward(self, prepared: Shaped[Tensor, "N ..."]) -> Float[Tensor, "N Z"]:
        if len(self.shape) == 1:
            return self.output(self._normalized(prepared))
        return self.output(see(self.backbone, prepared, self._weight.dtype))

    def _normalized(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N G"]:
        parts = dict(zip(self._sizes, states.unsqueeze(1).split(list(self._sizes.values()), -1), strict=True))
        valid = {key: ~part[:, 0].isnan() for key, part in parts.items()}
        return self.states({key: part.nan_to_num() for key, part in parts.items()}, valid)[:, 0]

    @property
    def _weight(self) -> Tensor:
        weight = self.output[0].weight
        assert isinstance(weight, Tensor)
        return weight
