"""The command that puts a policy to work for other programs."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    policy: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CKPT|EXPORT|OWNER/NAME", help="A run directory, checkpoint or export, or one on the Hub"
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at; by default none but this machine can connect")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 7145,
    slots: Annotated[int, typer.Option(min=1, help="Clients at once; fewer are served sooner from images")] = 32,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads that the policy computes with")] = 1,
) -> None:
    """Answer observations with actions, over sockets, until Ctrl-C: docs/serving.md has the protocol and a client.

    Prints the address, HOST:PORT, once it listens.
    """
    from mtil.serving.serve import serve as serve_policy

    serve_policy(policy, host=host, port=port, slots=slots, threads=threads)
