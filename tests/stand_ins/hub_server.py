"""A stand-in for the Hub: as much of its interface as its own client needs to make, fill and read repositories.

Repositories live in memory. The token `writer` may write to what `acme` owns, `reader` may write nowhere.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".hdf5", ".parquet", ".mp4")
START = "main"

Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits by hash; branches and tags point at them."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, branch: str, files: Files) -> str:
        told = repr((len(self.commits), sorted(files.items())))
        commit = hashlib.sha1(told.encode()).hexdigest()
        self.commits[commit], self.branches[branch] = files, commit
        return commit

    def commit(self, revision: str) -> str | None:
        found = self.branches.get(revision) or self.tags.get(revision) or revision
        return found if found in self.commits else None

    def files(self, revision: str = START) -> Files:
        commit = self.commit(revision)
        assert commit is not None, revision
        return self.commits[commit]


class HubServer(ThreadingHTTPServer):
    """Listens at a free port of this machine.

    Attributes:
        repositories: By kind and name.
        uploads: Large files by SHA-256.
        asked: Methods and paths of all requests, and the ranges of bytes.
        fail_after: How many bytes of a large file are sent before the connection breaks, once; None: all.
        gated: Names of repositories whose terms nobody has accepted.
        down: Whether it answers that it is out of order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.uploads: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fail_after: int | None = None
        self.gated: set[str] = set()
        self.down = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, kind: str, name: str, files: Files, *, private: bool = False, branch: str = START) -> str:
        """A commit of what somebody else has pushed."""
        repository = self.repositories.setdefault((kind, name), Repository(private))
        return repository.add(branch, files)


class _RefusalError(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message or code}


_REPO = r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)"
_FILES = r"/(?:(?P<kind>dataset)s/)?(?P<name>[^/]+/[^/]+?)"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output stays free of the server's log."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        self.server.asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        try:
            if self.server.down:
                raise _RefusalError(503, message="out of order")
            for method, pattern, route in _ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method.split():
                    told = {key: unquote(value) for key, value in found.groupdict().items() if value}
                    return route(self, body, **told)
            raise _RefusalError(404)
        except _RefusalError as refused:
            self._send(json.dumps({"error": str(refused)}).encode(), refused.status, refused.headers)

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, values: Any, status: int = 200) -> None:
        self._send(json.dumps(values).encode(), status, {"Content-Type": "application/json"})

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _found(self, kind: str, name: str, *, write: bool = False) -> Repository:
        if self._token not in ("", "reader", "writer"):
            raise _RefusalError(401, message="Invalid credentials in Authorization header")
        repository = self.server.repositories.get((kind, name))
        if repository is None or (repository.private and not self._token):
            raise _RefusalError(404 if self._token else 401, "RepoNotFound")
        if name in self.server.gated:
            raise _RefusalError(403, "GatedRepo")
        if write:
            self._check_writes(name.split("/")[0])
        return repository

    def _check_writes(self, owner: str) -> None:
        if not self._token:
            raise _RefusalError(401, message="Invalid username or password.")
        if self._token != "writer" or owner != "acme":
            raise _RefusalError(403, message=f"You don't have the rights to write under the namespace {owner}")

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.commit(revision)
        if commit is None:
            raise _RefusalError(404, "RevisionNotFound")
        return commit

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        if self._token not in ("", "reader", "writer"):
            raise _RefusalError(401, message="Invalid credentials in Authorization header")
        self._check_writes(asked["organization"])
        kind, name = asked["type"], f"{asked['organization']}/{asked['name']}"
        there = (kind, name) in self.server.repositories
        if not there:
            self.server.put(kind, name, {".gitattributes": b""}, private=asked.get("visibility") == "private")
        where = f"{self.server.address}/{'datasets/' if kind == 'dataset' else ''}{name}"
        self._json({"url": where}, 409 if there else 200)

    def validate(self, body: bytes) -> None:
        del body
        self._json({"errors": [], "warnings": []})

    def info(self, body: bytes, kind: str, name: str, revision: str = START) -> None:
        del body
        repository = self._found(kind, name)
        told = {"id": name, "sha": self._commit(repository, revision), "private": repository.private}
        self._json({**told, "siblings": [{"rfilename": file} for file in repository.files(revision)], "tags": []})

    def tree(self, body: bytes, kind: str, name: str, revision: str) -> None:
        del body
        repository = self._found(kind, name)
        assert parse_qs(urlsplit(self.path).query)["recursive"] == ["true"]
        self._commit(repository, revision)
        self._json([_entry(file, content) for file, content in repository.files(revision).items()])

    def refs(self, body: bytes, kind: str, name: str) -> None:
        del body
        repository = self._found(kind, name)

        def told(refs: dict[str, str], where: str) -> list[dict[str, str]]:
            return [{"name": ref, "ref": f"refs/{where}/{ref}", "targetCommit": at} for ref, at in refs.items()]

        tags = told(repository.tags, "tags")
        self._json({"branches": told(repository.branches, "heads"), "tags": tags, "converts": []})

    def branch(self, body: bytes, kind: str, name: str, branch: str) -> None:
        del body
        repository = self._found(kind, name, write=True)
        there = branch in repository.branches
        repository.branches.setdefault(branch, repository.branches[START])
        self._json({}, 409 if there else 200)

    def tag(self, body: bytes, kind: str, name: str, at: str) -> None:
        repository = self._found(kind, name, write=True)
        if self.command == "DELETE":
            del repository.tags[at]
        else:
            tag = json.loads(body)["tag"]
            if tag in repository.tags:
                raise _RefusalError(409, message="Tag reference exists already")
            repository.tags[tag] = self._commit(repository, at)
        self._json({})

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> None:
        present = self._found(kind, name, write=True).files(revision)
        asked = [file["path"] for file in json.loads(body)["files"]]
        told = {path: {"path": path, "shouldIgnore": False, "uploadMode": "regular"} for path in asked}
        for path, each in told.items():
            each |= {"uploadMode": "lfs"} if path.endswith(LARGE) else {}
            each |= {"oid": _oid(path, present[path])} if path in present else {}
        self._json({"files": list(told.values())})

    def batch(self, body: bytes, name: str, kind: str = "model") -> None:
        self._found(kind, name, write=True)
        objects = []
        for each in json.loads(body)["objects"]:
            where = {"upload": {"href": f"{self.server.address}/lfs/{each['oid']}"}}
            there = each["oid"] in self.server.uploads
            objects.append(each if there else {**each, "actions": where})
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.uploads[oid] = body
        self._json({})

    def commit(self, body: bytes, kind: str, name: str, branch: str) -> None:
        repository = self._found(kind, name, write=True)
        files = dict(repository.files(branch))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.server.uploads[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        commit = repository.add(branch, files)
        self._json({"commitUrl": f"{self.server.address}/{name}/commit/{commit}", "commitOid": commit})

    def resolve(self, body: bytes, name: str, revision: str, path: str, kind: str = "model") -> None:
        del body
        repository = self._found(kind, name)
        commit = self._commit(repository, revision)
        content = repository.commits[commit].get(path)
        if content is None:
            raise _RefusalError(404, "EntryNotFound")
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_oid(path, content)}"', "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        limit, large = self.server.fail_after, path.endswith(LARGE)
        if self.command == "GET" and large and limit is not None and limit < len(content):
            self.server.fail_after = None
            self._send(content[:limit], 200, headers | {"Content-Length": str(len(content))})
            self.close_connection = True
            return
        self._send(content[first:], 206 if first else 200, headers)


def _oid(path: str, content: bytes) -> str:
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _oid(path, content)[:40]}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": _oid(path, content), "size": len(content), "pointerSize": 130}
    return entry


_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", _REPO, _Handler.info),
    ("GET", _REPO + r"/revision/(?P<revision>[^/]+)", _Handler.info),
    ("GET", _REPO + r"/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("GET", _REPO + "/refs", _Handler.refs),
    ("POST", _REPO + r"/branch/(?P<branch>[^/]+)", _Handler.branch),
    ("POST DELETE", _REPO + r"/tag/(?P<at>[^/]+)", _Handler.tag),
    ("POST", _REPO + r"/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    ("POST", _REPO + r"/commit/(?P<branch>[^/]+)", _Handler.commit),
    ("POST", _FILES + r"\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]+)", _Handler.upload),
    ("GET HEAD", _FILES + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
)
