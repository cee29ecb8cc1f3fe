"""What draws the embedding of a clip to that of a sentence which tells the same task.

Legend: N clips, S sentences, Z width of z.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mtil.encoders.config import AlignmentConfig


def misalignment(
    shown: Float[Tensor, "N Z"],
    told: Float[Tensor, "S Z"],
    own: Int[Tensor, " N"],
    task: Int[Tensor, " S"],
    config: AlignmentConfig,
) -> Float[Tensor, " N"]:
    """How far the z of each clip is from that of its sentence, which itself stays where it is.

    `cosine` is BC-Z's (Jang et al. 2022, arXiv:2202.02005): `1 - cos`, in [0, 2]. `contrastive` is InfoNCE (van den
    Oord et al. 2018, arXiv:1807.03748), in nats: nearer to its own sentence than to all those of other tasks, for the
    sentences of "open" and "close" lie close together.

    Args:
        shown: z of clips.
        told: z of all sentences, of all tasks: on any number of ranks, each clip has the same to be compared with.
        own: The sentence that tells the same as each clip shows.
        task: Of each sentence.
        config: Which distance.
    """
    told = told.detach()
    if config.kind == "cosine":
        return 1 - F.cosine_similarity(shown, told[own], dim=1)
    cosine = F.normalize(shown, dim=1) @ F.normalize(told, dim=1).T
    same = (task == task[own][:, None]) & (torch.arange(len(task), device=task.device) != own[:, None])
    return F.cross_entropy((cosine / config.temperature).masked_fill(same, -torch.inf), own, reduction="none")
