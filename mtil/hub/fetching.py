"""Files of the Hub's, fetched into its client's own cache. Nothing is run, and nothing but what is asked for comes."""

from collections.abc import Sequence
from pathlib import Path

from mtil.errors import HubError
from mtil.hub.names import HubName, Kind
from mtil.hub.problems import fetching_problem


def fetch(name: HubName, *, kind: Kind, files: Sequence[str], ignored: Sequence[str] = (), local: bool = False) -> Path:
    """The folder of a snapshot, named for its commit.

    A branch or tag is looked up each time; without a network, what the cache has of it is taken. What was interrupted
    goes on where it was.

    Args:
        name: Of a repository.
        kind: Of a repository.
        files: Patterns of what to fetch; `*` stands for slashes, too.
        ignored: Patterns of what to leave out of that.
        local: Whether to look into the cache alone.

    Raises:
        HubError: There is none, or it cannot be fetched; the message tells which of name, network and terms it is.
    """
    from huggingface_hub import snapshot_download

    def snapshot(*, local: bool) -> Path:
        wanted, unwanted = list(files), list(ignored)
        return Path(
            snapshot_download(
                name.repo,
                repo_type=kind,
                revision=name.revision,
                allow_patterns=wanted,
                ignore_patterns=unwanted,
                local_files_only=local,
            )
        )

    try:
        folder = snapshot(local=local)
    except Exception as error:  # of many kinds; the client promises no list
        raise HubError(f"{name}: {fetching_problem(error, kind)}") from None
    if not folder.is_dir():
        raise HubError(f"{name}: a {kind} on the Hub, but without any of {', '.join(files)}")
    return folder
