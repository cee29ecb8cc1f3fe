"""What draws the embedding of a clip to that of a sentence which tells the same task.

Legend: N examples, Z width of z.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mtil.encoders.config import AlignmentConfig


def misalignment(
    shown: Float[Tensor, "N Z"], told: Float[Tensor, "N Z"], task: Int[Tensor, " N"], config: AlignmentConfig
) -> Float[Tensor, " N"]:
    """How far the z of each clip is from that of its sentence, which itself stays where it is.

    `cosine` is BC-Z's (Jang et al. 2022, arXiv:2202.02005): `1 - cos`, in [0, 2]. `contrastive` is InfoNCE (van den
    Oord et al. 2018, arXiv:1807.03748), in nats: nearer to its own sentence than to those of other tasks in the batch,
    for the sentences of "open" and "close" lie close together.

    Args:
        shown: z of the clip that shows each example's task.
        told: z of a sentence that tells it.
        task: Of each example.
        config: Which distance.
    """
    told = told.detach()
    if config.kind == "cosine":
        return 1 - F.cosine_similarity(shown, told, dim=1)
    cosine = F.normalize(shown, dim=1) @ F.normalize(told, dim=1).T
    own = torch.arange(len(task), device=task.device)
    same = (task[:, None] == task) & (own[:, None] != own)  # other sentences of the same task are no strangers
    return F.cross_entropy((cosine / config.temperature).masked_fill(same, -torch.inf), own, reduction="none")
