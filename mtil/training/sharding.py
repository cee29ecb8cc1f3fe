"""Fully sharded data parallelism: each rank holds a part of every weight (FSDP2, `fully_shard` of PyTorch)."""

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from mtil.policies.policy import Policy


def sharding_strategy(world_size: int) -> ModelParallelStrategy:
    """Lightning's strategy; checkpoints hold whole weights, as without sharding."""
    return ModelParallelStrategy(
        data_parallel_size=world_size, tensor_parallel_size=1, save_distributed_checkpoint=False
    )


def shard(policy: Policy, mesh: DeviceMesh) -> None:
    """Split the trained weights over the ranks of a mesh: by block of the trunk, and by room of the policy.

    (The policy as a whole has no forward that all of its weights take part in: z is embedded beforehand.)
    """
    data_parallel = mesh["data_parallel"]
    parts = [*policy.trunk.blocks, policy.task_encoders, policy.observation_encoder, policy.trunk, policy.head]
    for part in parts:
        if any(parameter.requires_grad for parameter in part.parameters()):
            fully_shard(part, mesh=data_parallel)


def forget_gathered(module: nn.Module) -> None:
    """Drop whole weights that a forward pass has gathered and kept: the parts that they were made of have changed."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
