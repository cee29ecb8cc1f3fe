"""The command that shares a policy or a dataset."""

from pathlib import Path
from typing import Annotated

import typer


def push(
    source: Annotated[Path, typer.Argument(metavar="RUN|CKPT|EXPORT|DATASET", help="What to share")],
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME[@BRANCH]", help="On the Hub; made if it is not there")],
    private: Annotated[bool, typer.Option("--private", help="For you and your organisation alone")] = False,
) -> None:
    """Push a policy (as an export) or a dataset to the Hugging Face Hub, with a card, as one commit.

    What is on the Hub stands wherever a path does: mtil inspect OWNER/NAME, data.path=OWNER/NAME,
    mtil evaluate OWNER/NAME. Log in first, with `hf auth login`.
    """
    from rich.console import Console

    from mtil.hub.names import HubName
    from mtil.policies.checkpoint import holds_policy

    target = HubName.read(name)
    if holds_policy(source):
        from mtil.evaluation.publishing import push_policy

        where = push_policy(source, target, private=private)
    else:
        from mtil.data.publishing import push_dataset

        where = push_dataset(source, target, private=private)
    Console(soft_wrap=True).print(f"pushed: {target}, {where}", markup=False, highlight=False)
