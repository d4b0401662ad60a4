"""A hub of datasets on this machine: as much of its API as loading one takes."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c" * 40

Files = dict[str, bytes]
"""Content by path in the repository."""


@contextmanager
def serve(repositories: dict[str, Files]) -> Iterator[tuple[str, set[str]]]:
    """The hub's address, and the paths of files whose content was asked for."""
    fetched: set[str] = set()

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            path = unquote(urlsplit(self.path).path)
            if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/.*)?", path):
                found = self._told(match[1], match[2] or "", body)
                return self._send(json.dumps(found).encode() if found is not None else None)
            match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
            content = repositories.get(match[1], {}).get(match[2]) if match else None
            if content is not None and self.command == "GET":
                fetched.add(match[2])
            self._send(content)

        def _told(self, repository: str, rest: str, body: bytes) -> Any:
            files = repositories.get(repository)
            if files is None:
                return None
            if match := re.fullmatch(r"/tree/[^/]+(?:/(.+))?", rest):
                return listed(files, f"{match[1]}/" if match[1] else "")
            if rest.startswith("/paths-info/"):
                sent = self.headers["Content-Type"] or ""
                asked = json.loads(body) if "json" in sent else parse_qs(body.decode())
                return [entry(name, files[name]) for name in asked["paths"] if name in files]
            if rest == "" or rest.startswith("/revision/"):
                names = [{"rfilename": name} for name in files]
                return {"id": repository, "sha": COMMIT, "siblings": names, "tags": []}
            return None

        def _send(self, content: bytes | None) -> None:
            whole = content or b"{}"
            first, last, status = 0, len(whole) - 1, 200 if content is not None else 404
            if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or ""):
                first, last = int(match[1]), min(last, int(match[2] or last))
                status = 206
            self.send_response(status)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
            self.send_header("Content-Length", str(last + 1 - first))
            self.send_header("ETag", f'"{hashlib.sha1(whole).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(whole[first : last + 1])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        server.server_close()


def listed(files: Files, folder: str) -> list[dict[str, Any]]:
    """What lies in a folder, as the hub lists it."""
    inside = {name.removeprefix(folder): name for name in files if name.startswith(folder)}
    folders = sorted({name.partition("/")[0] for name in inside if "/" in name})
    return [
        *({"type": "directory", "path": folder + name, "oid": "d"} for name in folders),
        *(entry(name, files[name]) for short, name in inside.items() if "/" not in short),
    ]


def entry(name: str, content: bytes) -> dict[str, Any]:
    """A file as the hub lists it."""
    oid = hashlib.sha1(content).hexdigest()
    return {"type": "file", "path": name, "size": len(content), "oid": oid}
