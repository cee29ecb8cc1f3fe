"""What every task encoder is: a descriptor of a task in, an embedding z out.

Legend: N descriptors, B batch, Z width of z.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mtil.data.descriptors import DescriptorKind


class TaskEncoder(nn.Module, ABC):
    """Turns descriptors of one kind into embeddings.

    Attributes:
        kind: The kind of descriptor that it takes.
        width: Size of z.
    """

    kind: DescriptorKind
    width: int

    @abstractmethod
    def prepare(self, descriptors: Sequence[str]) -> Shaped[Tensor, "N ..."]:
        """Everything about raw descriptors (names, sentences) that need not be computed more than once."""

    @abstractmethod
    def forward(self, prepared: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B Z"]:
        """The embedding z of prepared descriptors; this part is trained."""
