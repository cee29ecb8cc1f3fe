"""The table of what is trained: by part of the policy, how many parameters, and how."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from torch import nn

from mtil.encoders.tuning import TunedEncoder, tuned_encoders
from mtil.policies.parts import part_name
from mtil.policies.policy import Policy
from mtil.training.config import OptimizerConfig
from mtil.training.optimizer import parameter_groups


def parameter_table(policy: Policy, options: OptimizerConfig) -> Table | None:
    """Of each part and each pretrained network in it; None where all is simply trained."""
    networks = dict(tuned_encoders(policy))
    if not networks and all(parameter.requires_grad for parameter in policy.parameters()):
        return None
    rates = {id(p): group.learning_rate for group in parameter_groups(policy, options) for p in group.parameters}
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("part")
    for title in ("parameters", "trained"):
        table.add_column(title, justify="right")
    table.add_column("how")
    table.add_column("learning rate")
    for part, parameters, how in _parts(policy, networks):
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        found = sorted({rates[id(parameter)] for parameter in trained})
        rate = " - ".join(f"{each:.2g}" for each in dict.fromkeys((found[0], found[-1]))) if found else ""
        table.add_row(part, f"{_count(parameters):,}", f"{_count(trained):,}", how if trained else "frozen", rate)
    return table


def _parts(policy: Policy, networks: dict[str, TunedEncoder]) -> Iterator[tuple[str, list[nn.Parameter], str]]:
    """Name, parameters and tuning of each part, a pretrained network apart from what surrounds it."""
    rows: dict[str, list[nn.Parameter]] = {}
    how: dict[str, str] = {}
    for name, parameter in policy.named_parameters():
        owner = next((encoder for encoder in networks if name.startswith(f"{encoder}.network.")), None)
        part = part_name(name) if owner is None else f"{part_name(name)}, pretrained"
        rows.setdefault(part, []).append(parameter)
        how[part] = "trained" if owner is None else networks[owner].tuning.kind
    for part, parameters in rows.items():
        yield part, parameters, how[part]


def _count(parameters: list[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
