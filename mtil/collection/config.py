"""What there is to choose about demonstrations that are collected."""

from collections.abc import Sequence

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from mtil.config import Config
from mtil.errors import ConfigError, DatasetError, unknown
from mtil.types import CameraView


class CameraConfig(Config):
    """What is recorded of one camera at each step."""

    size: PositiveInt = Field(default=84, description="Height and width in pixels")
    crop: tuple[float, float, float, float] | None = Field(
        default=None,
        description="Left, top, right and bottom of what is shown, as fractions of the full picture; null: all of it",
    )


class CollectionConfig(Config):
    """How to collect the demonstrations if `data.path` does not exist."""

    episodes_per_task: PositiveInt = Field(default=25, description="Successful episodes in each file")
    seed: NonNegativeInt = Field(default=0, description="Decides placements and noise")
    noise: NonNegativeFloat = Field(
        default=0.0, description="Deviation of the noise on executed actions; labels stay clean"
    )
    max_steps: PositiveInt | dict[str, PositiveInt] | None = Field(
        default=None,
        description="Attempts that take longer are no demonstrations, of every task or by name: an expert that "
        "hesitates teaches to hesitate; null: the simulator's horizon",
    )
    steps_after_success: NonNegativeInt = Field(
        default=0, description="Steps recorded beyond the first success, which teach to stay at the goal"
    )
    cameras: dict[str, CameraConfig] = Field(
        default={}, description="Images recorded as observations, by the camera's name in the simulator"
    )

    @model_validator(mode="after")
    def _check_views(self) -> "CollectionConfig":
        self.views  # noqa: B018 (raises where one is none)
        return self

    @property
    def views(self) -> tuple[CameraView, ...]:
        """What observations show.

        Raises:
            ConfigError: A name or crop is none.
        """
        try:
            return tuple(CameraView(name, camera.size, camera.crop) for name, camera in self.cameras.items())
        except DatasetError as error:
            raise ConfigError(f"cameras: {error}") from None


def read_cameras(names: Sequence[str], *, size: int, crops: Sequence[str]) -> dict[str, CameraConfig]:
    """Cameras as the command line tells them.

    Args:
        names: The cameras.
        size: Height and width of all images.
        crops: `camera=left,top,right,bottom` each.

    Raises:
        ConfigError: A crop is of another camera, or no crop.
    """
    found = {name: CameraConfig(size=size) for name in names}
    for each in crops:
        name, _, sides = each.partition("=")
        if name not in found:
            raise ConfigError(f"crop {each!r}: {unknown('camera', name, found)}")
        found[name] = CameraConfig(size=size, crop=_sides(each, sides))
    return found


def _sides(crop: str, sides: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(side) for side in sides.split(","))
    except ValueError:
        raise ConfigError(f"crop {crop!r}: expected CAMERA=LEFT,TOP,RIGHT,BOTTOM, four fractions") from None
    return left, top, right, bottom
