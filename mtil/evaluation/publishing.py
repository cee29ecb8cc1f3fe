"""A policy pushed to the Hub, as an export."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mtil.evaluation.export import export
from mtil.hub.names import HubName
from mtil.hub.pushing import push
from mtil.policies.checkpoint import load_policy
from mtil.policies.export import FILES, MODEL_CARD, WEIGHTS


def push_policy(source: Path, name: HubName, *, private: bool = False) -> str:
    """Push a policy: an export as it is, its model card, too; a run or checkpoint as what `mtil export` makes of it.

    Args:
        source: A run directory, a checkpoint or an export.
        name: Of the repository, which is made if it is not there.
        private: Whether others may not see it.

    Returns:
        Where it can be seen.

    Raises:
        CheckpointError: No policy is there, or it is damaged.
        HubError: It cannot be written to the Hub.
    """
    found = load_policy(source).path
    if found.name == WEIGHTS:
        return _push(found.parent, name, private=private)
    with TemporaryDirectory() as folder:
        export(source, Path(folder) / "export", name=str(name))
        return _push(Path(folder) / "export", name, private=private)


def _push(folder: Path, name: HubName, *, private: bool) -> str:
    card, others = folder / MODEL_CARD, [folder / file for file in FILES if file != MODEL_CARD]
    return push(
        name,
        {file.name: file for file in others if file.is_file()},
        card.read_text(encoding="utf-8") if card.is_file() else "",
        kind="model",
        owned=FILES,
        private=private,
    )
