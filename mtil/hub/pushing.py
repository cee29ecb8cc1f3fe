"""A repository of the Hub's made to hold what a folder holds, in one commit."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from mtil.errors import HubError
from mtil.hub.names import HubName, Kind
from mtil.hub.problems import pushing_problem

CARD = "README.md"
_OTHERS = (".gitattributes", CARD)  # what any repository may hold


def push(
    name: HubName,
    files: Mapping[str, Path],
    card: str,
    *,
    kind: Kind,
    owned: Sequence[str],
    private: bool = False,
    tag: str | None = None,
) -> str:
    """Make a repository hold these files and no others, with its history; it is made if it is not there.

    Args:
        name: Of the repository; the revision, if any, is a branch, which is made if it is not there.
        files: What to upload, by their paths in the repository.
        card: Its README; what the header of the one that is there says beyond it, such as a licence, is kept.
        kind: Of the repository.
        owned: Patterns of files that may be replaced or removed.
        private: Whether others may not see it.
        tag: To be set on what is uploaded, if that is no branch.

    Returns:
        Where the commit can be seen.

    Raises:
        HubError: The repository holds something else, or is public; or there is no permission, or no network.
    """
    try:
        repository = _Repository(name, kind, private=private)
        repository.check_strangers(owned)
        return repository.commit(files, card, tag=tag)
    except HubError:
        raise
    except Exception as error:  # of many kinds; the client promises no list
        raise HubError(f"{name}: {pushing_problem(error)}") from None


class _Repository:
    """A repository on the Hub, made if it is not there.

    Args:
        name: Of it, perhaps with a branch.
        kind: Of it.
        private: Whether others may not see it.
    """

    def __init__(self, name: HubName, kind: Kind, *, private: bool) -> None:
        from huggingface_hub import HfApi

        self._api, self._name, self._kind = HfApi(), name, kind
        self._api.create_repo(name.repo, repo_type=kind, private=private or None, exist_ok=True)
        if private and not self._api.repo_info(name.repo, repo_type=kind).private:
            raise HubError(f"{name}: expected a private {kind}, found a public one there; make it private on the Hub")
        if name.revision is not None:
            self._api.create_branch(name.repo, repo_type=kind, branch=name.revision, exist_ok=True)
        self._present = self._api.list_repo_files(name.repo, repo_type=kind, revision=name.revision)

    def check_strangers(self, owned: Sequence[str]) -> None:
        """Check that nothing is there but what may be replaced or removed."""
        for file in self._present:
            if file not in _OTHERS and not any(fnmatchcase(file, pattern) for pattern in owned):
                expected = f"expected a {self._kind} of this format or nothing there"
                raise HubError(f"{self._name}: {expected}, found {file}; choose another name")

    def commit(self, files: Mapping[str, Path], card: str, *, tag: str | None) -> str:
        """Upload all and remove the rest; tells where this can be seen."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        written = self._with_header(card).encode()
        gone = [file for file in self._present if file not in files and file not in _OTHERS]
        done = self._api.create_commit(
            self._name.repo,
            [
                CommitOperationAdd(CARD, written),
                *(CommitOperationAdd(path, file) for path, file in files.items()),
                *(CommitOperationDelete(path, is_folder=False) for path in gone),
            ],
            repo_type=self._kind,
            revision=self._name.revision,
            commit_message=f"{len(files)} files, by mtil push",
        )
        if tag is not None and self._name.revision is None:
            self._set_tag(tag)
        return str(done.commit_url)

    def _with_header(self, card: str) -> str:
        """A card with what the header of the present one says beyond its own."""
        from huggingface_hub import CardData, RepoCard

        if CARD not in self._present:
            return card
        file = self._api.hf_hub_download(self._name.repo, CARD, repo_type=self._kind, revision=self._name.revision)
        new, present = (RepoCard(text, ignore_metadata_errors=True) for text in (card, Path(file).read_text("utf-8")))
        told = new.data.to_dict()
        more = {key: value for key, value in present.data.to_dict().items() if key not in told}
        if not more:
            return card
        new.data = CardData(**told, **more)
        return str(new)

    def _set_tag(self, tag: str) -> None:
        """Set a tag on what is there now, wherever it was."""
        refs = self._api.list_repo_refs(self._name.repo, repo_type=self._kind)
        if any(found.name == tag for found in refs.tags):
            self._api.delete_tag(self._name.repo, repo_type=self._kind, tag=tag)
        self._api.create_tag(self._name.repo, repo_type=self._kind, tag=tag)
