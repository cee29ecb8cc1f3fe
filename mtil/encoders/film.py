"""Feature-wise linear modulation: z scales and shifts features (Perez et al. 2018, "FiLM", arXiv:1709.07871).

Legend: B batch, F features, Z width of z.
"""

from jaxtyping import Float
from torch import Tensor, nn


class FiLM(nn.Module):
    """`(1 + gamma(z)) * x + beta(z)`, of vectors or of maps, alike at every place; the identity at initialisation."""

    def __init__(self, condition: int, features: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(condition, 2 * features)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Float[Tensor, "B F *place"], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B F *place"]:
        gamma, beta = self.modulation(z).unflatten(-1, (-1,) + (1,) * (features.ndim - 2)).chunk(2, dim=1)
        return (1 + gamma) * features + beta
