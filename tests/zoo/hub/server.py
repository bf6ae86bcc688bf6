"""A Hub on loopback that the unmodified `huggingface_hub` client can push to and pull from, with faults on demand.

It keeps repositories in memory and answers the calls that publishing and fetching a model make: repositories,
preupload, LFS, commits, tags, listings, and downloads from a second port as the Hub's storage does it.

    with HubServer() as hub:
        subprocess.run([...], env={**os.environ, **hub.environment(home, token="hf_writer")})
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKENS = {"hf_writer": ("me", "write"), "hf_reader": ("reader", "read")}
LFS_SUFFIXES = (".safetensors", ".png", ".bin")


class Blob(NamedTuple):
    """A file of a commit."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass
class Repository:
    """Commits oldest first, and names for some of them."""

    private: bool = False
    gated: bool = False
    commits: list[tuple[str, dict[str, Blob]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, Blob]) -> str:
        text = json.dumps([len(self.commits), {name: blob.git_id for name, blob in files.items()}])
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits.append((oid, files))
        return oid

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    def find(self, revision: str) -> tuple[str, dict[str, Blob]] | None:
        wanted = self.head if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit[0] == wanted), None)


@dataclass
class Fault:
    """Something that goes wrong with requests whose path contains `path`, a few times.

    Attributes:
        status: answered instead, with `headers`.
        drop_after: bytes of a download after which the connection is cut.
        corrupt: one byte of a download is another one.
        stall: there is no answer until the server stops.
        strip: headers that do not arrive, as behind some mirrors.
    """

    path: str
    times: int = 1
    method: str = "GET"
    status: int | None = None
    drop_after: int | None = None
    corrupt: bool = False
    stall: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    strip: tuple[str, ...] = ()


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers | ({"X-Error-Code": code} if code else {}) | {"X-Error-Message": message}


class HubServer:
    """The server, on two ports of 127.0.0.1: one for the API, one for the storage of large files."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.storage: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.claimed_sizes: dict[str, int] = {}
        self.stopped = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._api, self._store = self._listen(ApiHandler), self._listen(StoreHandler)

    def _listen(self, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), {"hub": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._api.server_port}"

    @property
    def storage_url(self) -> str:
        return f"http://127.0.0.1:{self._store.server_port}"

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What a client process needs to talk to this server, with its cache in `home`."""
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return variables | ({"HF_TOKEN": token} if token else {})

    def put(self, name: str, files: dict[str, bytes], **state: bool) -> str:
        """Make a repository as if somebody had pushed these files; the commit."""
        repository = self.repositories.setdefault(name, Repository(**state))
        return repository.commit({path: Blob(content, path.endswith(LFS_SUFFIXES)) for path, content in files.items()})

    def stop(self) -> None:
        """Refuse new connections and cut those that are open."""
        self.stopped.set()
        for server in (self._api, self._store):
            server.shutdown()
            server.server_close()
        for connection in list(self._sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Handler(BaseHTTPRequestHandler):
    """What both ports share: bodies, answers, faults."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    routes: tuple[tuple[str, str, Callable[..., None]], ...] = ()

    def setup(self) -> None:
        super().setup()
        self.hub._sockets.add(self.connection)

    def finish(self) -> None:
        self.hub._sockets.discard(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        """Quiet; `HubServer.requests` keeps the log."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.body = self._read_body()
        self.fault = self._take_fault(path)
        try:
            if self.fault and self.fault.stall:
                self.hub.stopped.wait(60)
                self.close_connection = True
                return None
            if self.fault and self.fault.status:
                raise Refusal(self.fault.status, "a fault that the test asked for", **self.fault.headers)
            for method, pattern, handle in self.routes:
                found = re.fullmatch(pattern, path)
                if found and self.command in method.split("|"):
                    return handle(self, **found.groupdict())
            raise Refusal(404, f"no route {self.command} {path}")
        except Refusal as refusal:
            self.send(refusal.status, json.dumps({"error": str(refusal)}).encode(), **refusal.headers)

    def _take_fault(self, path: str) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times > 0 and fault.method == self.command and fault.path in path:
                fault.times -= 1
                return fault
        return None

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def reply(self, data: Any, status: int = 200) -> None:
        self.send(status, json.dumps(data).encode(), **{"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        stripped = self.fault.strip if self.fault else ()
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            if name not in stripped:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_file(self, content: bytes, **headers: str) -> None:
        """A download, with ranges, and with what the fault says."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        part = content[first:]
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if self.fault and self.fault.corrupt:
            part = part[:-1] + bytes([part[-1] ^ 1])
        if self.fault and self.fault.drop_after is not None:
            headers["Content-Length"] = str(len(part))
            part = part[: self.fault.drop_after]
            self.close_connection = True
        self.send(206 if asked else 200, part, **headers)


class ApiHandler(Handler):
    """The Hub's API, and downloads of small files."""

    def _user(self) -> tuple[str, str] | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return TOKENS.get(token)

    def _writer(self) -> None:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        if user[1] != "write":
            raise Refusal(403, "You don't have the rights to do that")

    def _repository(self, name: str) -> Repository:
        user = self._user()
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and (user is None or user[0] != name.partition("/")[0])):
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        return repository

    def _commit(self, name: str, revision: str) -> tuple[str, dict[str, Blob]]:
        found = self._repository(name).find(revision)
        if found is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def whoami(self) -> None:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        self.reply({"type": "user", "name": user[0], "auth": {"accessToken": {"role": user[1]}}})

    def create(self) -> None:
        self._writer()
        wanted = self.json
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        answer = {"url": f"{self.hub.url}/{name}", "name": name}
        if name in self.hub.repositories:
            return self.reply(answer | {"error": "You already created this model repo"}, 409)
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.hub.put(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=private)
        self.reply(answer)

    def validate_yaml(self) -> None:
        head = self.json["content"].split("---\n")[1]
        metadata = yaml.safe_load(head)
        if not isinstance(metadata, dict) or not isinstance(metadata.get("license"), str):
            return self.reply({"errors": [{"message": '"license" must be a string'}], "warnings": []}, 400)
        self.reply({"errors": [], "warnings": []})

    def info(self, name: str, revision: str = "main") -> None:
        repository, (oid, files) = self._repository(name), self._commit(name, revision)
        siblings = [{"rfilename": path, **_listed(blob)} for path, blob in files.items()]
        for sibling in siblings:
            sibling["size"] = self.hub.claimed_sizes.get(sibling["rfilename"], sibling["size"])
        self.reply(
            {"id": name, "sha": oid, "private": repository.private, "siblings": siblings}
            | {"gated": "manual" if repository.gated else False, "tags": [], "downloads": 0, "likes": 0}
        )

    def listing(self) -> None:
        """Repositories whose names hold the words; filters as tags, parameters from the headers of safetensors."""
        asked = parse_qs(urlsplit(self.path).query)
        user = self._user()
        rows = []
        for name, repository in self.hub.repositories.items():
            row = {"id": name, **_metadata(repository.commits[-1][1])}
            words = asked.get("search", [""])[0].lower().split()
            visible = not repository.private or (user and user[0] == name.partition("/")[0])
            tags = {f"license:{row['cardData'].get('license')}"}
            wanted = asked.get("pipeline_tag", [row["pipeline_tag"]])[0]
            fits = row["pipeline_tag"] == wanted and set(asked.get("filter", [])) <= tags
            if visible and fits and all(word in name.lower() for word in words):
                rows.append(row)
        self.reply(rows)

    def tree(self, name: str, revision: str) -> None:
        _, files = self._commit(name, revision)
        self.reply(
            [{"type": "file", "path": path, "oid": blob.git_id, **_listed(blob)} for path, blob in files.items()]
        )

    def paths_info(self, name: str, revision: str) -> None:
        _, files = self._commit(name, revision)
        wanted = [path for path in self.json["paths"] if path in files]
        self.reply(
            [{"type": "file", "path": path, "oid": files[path].git_id, **_listed(files[path])} for path in wanted]
        )

    def refs(self, name: str) -> None:
        repository = self._repository(name)
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repository.tags.items()]
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head}
        self.reply({"branches": [branch], "converts": [], "tags": tags})

    def tag(self, name: str, revision: str) -> None:
        self._writer()
        repository, (oid, _) = self._repository(name), self._commit(name, revision)
        wanted = self.json["tag"]
        if wanted in repository.tags:
            raise Refusal(409, f"Tag reference exists already: {wanted}")
        repository.tags[wanted] = oid
        self.reply({})

    def preupload(self, name: str, revision: str) -> None:
        self._writer()
        _, files = self._commit(name, revision)
        answers = []
        for file in self.json["files"]:
            mode = "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            if file["path"] in files:
                answer["oid"] = _oid(files[file["path"]])
            answers.append(answer)
        self.reply({"files": answers})

    def lfs_batch(self, name: str) -> None:
        self._writer()
        self._repository(name)
        objects = []
        for wanted in self.json["objects"]:
            upload = {"href": f"{self.hub.storage_url}/lfs/{wanted['oid']}"}
            verify = {"href": f"{self.hub.url}/{name}.git/info/lfs/verify"}
            known = wanted["oid"] in self.hub.storage
            objects.append(wanted | ({} if known else {"actions": {"upload": upload, "verify": verify}}))
        self.reply({"transfer": "basic", "objects": objects})

    def lfs_verify(self, name: str) -> None:
        stored = self.hub.storage.get(self.json["oid"])
        if stored is None or len(stored) != self.json["size"]:
            raise Refusal(404, "Object does not exist")
        self.reply({})

    def commit(self, name: str, revision: str) -> None:
        self._writer()
        repository = self._repository(name)
        lines = [json.loads(line) for line in self.body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent is not None and parent != repository.head:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repository.commits[-1][1])
        for line in lines[1:]:
            self._apply(files, line["key"], line["value"])
        oid = repository.commit(files)
        self.reply({"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}"})

    def _apply(self, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            files[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile":
            if value["oid"] not in self.hub.storage:
                raise Refusal(400, f"LFS object {value['oid']} was not uploaded")
            files[value["path"]] = Blob(self.hub.storage[value["oid"]], lfs=True)
        elif key == "deletedFile":
            if files.pop(value["path"], None) is None:
                raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        else:
            raise Refusal(400, f"unknown operation {key}")

    def resolve(self, name: str, revision: str, path: str) -> None:
        repository, (oid, files) = self._repository(name), self._commit(name, revision)
        if repository.gated and self._user() is None:
            raise Refusal(403, f"Access to model {name} is restricted", "GatedRepo")
        if path not in files:
            raise Refusal(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": oid})
        blob = files[path]
        if not blob.lfs:
            return self.send_file(blob.content, **{"X-Repo-Commit": oid, "ETag": f'"{blob.git_id}"'})
        self.hub.storage[blob.sha256] = blob.content
        linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content))}
        location = f"{self.hub.storage_url}/lfs/{blob.sha256}"
        self.send(302, b"", **{"X-Repo-Commit": oid, "Location": location, **linked})

    routes = (
        ("GET", "/api/whoami-v2", whoami),
        ("POST", "/api/repos/create", create),
        ("POST", "/api/validate-yaml", validate_yaml),
        ("GET", "/api/models", listing),
        ("GET", "/api/models/(?P<name>[^/]+/[^/]+)", info),
        ("GET", "/api/models/(?P<name>[^/]+/[^/]+)/revision/(?P<revision>.+)", info),
        ("GET", "/api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>.+)", tree),
        ("POST", "/api/models/(?P<name>[^/]+/[^/]+)/paths-info/(?P<revision>.+)", paths_info),
        ("GET", "/api/models/(?P<name>[^/]+/[^/]+)/refs", refs),
        ("POST", "/api/models/(?P<name>[^/]+/[^/]+)/tag/(?P<revision>.+)", tag),
        ("POST", "/api/models/(?P<name>[^/]+/[^/]+)/preupload/(?P<revision>.+)", preupload),
        ("POST", "/api/models/(?P<name>[^/]+/[^/]+)/commit/(?P<revision>.+)", commit),
        ("POST", r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", lfs_batch),
        ("POST", r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/verify", lfs_verify),
        ("HEAD|GET", "/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
    )


class StoreHandler(Handler):
    """Large files by their checksum, on another host than the API as on the real Hub."""

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Refusal(400, "checksum mismatch")
        self.hub.storage[oid] = self.body
        self.send(200, b"", ETag=f'"{oid}"')

    def download(self, oid: str) -> None:
        if oid not in self.hub.storage:
            raise Refusal(404, "no such object")
        self.send_file(self.hub.storage[oid], ETag=f'"{oid}"')

    routes = (("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", upload), ("HEAD|GET", "/lfs/(?P<oid>[0-9a-f]{64})", download))


def _oid(blob: Blob) -> str:
    return blob.sha256 if blob.lfs else blob.git_id


def _listed(blob: Blob) -> dict[str, Any]:
    lfs = {"lfs": {"oid": blob.sha256, "sha256": blob.sha256, "size": len(blob.content), "pointerSize": 130}}
    return {"size": len(blob.content), "blobId": blob.git_id} | (lfs if blob.lfs else {})


def _metadata(files: dict[str, Blob]) -> dict[str, Any]:
    """What the Hub reads from a card and from the header of the weights."""
    card = files["README.md"].content.decode() if "README.md" in files else ""
    data = yaml.safe_load(card.split("---\n")[1]) if card.startswith("---\n") else {}
    answer = {"cardData": data, "pipeline_tag": data.get("pipeline_tag"), "library_name": data.get("library_name")}
    if "model.safetensors" in files:
        content = files["model.safetensors"].content
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        shapes = [value["shape"] for key, value in header.items() if key != "__metadata__"]
        total = sum(math.prod(shape) for shape in shapes)
        answer["safetensors"] = {"parameters": {"F32": total}, "total": total}
    return answer
