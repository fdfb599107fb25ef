"""A server of the files of a folder on this machine, that can be made to fail in the ways of real ones."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote


class Server:
    """What a server does, and what it was asked for.

    Attributes:
        url: of the folder, without a slash at its end.
        cut: how many bytes of each answer arrive before the connection breaks off, for the first answers.
        whole: whether it sends files whole only, whatever part is asked for.
        tag: what it calls this version of its files (ETag), "" for nothing.
        answers: statuses of the first answers, instead of the file.
        headers: more or other ones of each answer.
        pause: seconds between two pieces of 4 kB.
        requests: of GET, (path, the part that was asked for, "" for all).
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, ""
        self.cut: list[int] = []
        self.whole, self.pause, self.tag = False, 0.0, '"1"'
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []

    def described(self) -> dict[str, str]:
        """What it says of a file without being asked."""
        ranges = {} if self.whole else {"Accept-Ranges": "bytes"}
        return ranges | ({"ETag": self.tag} if self.tag else {})


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    server = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            path = folder / unquote(self.path).lstrip("/")
            self.send_response(200 if path.is_file() else 404)
            self.send_header("Content-Length", str(path.stat().st_size if path.is_file() else 0))
            for name, value in server.described().items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            part = self.headers.get("Range", "")
            server.requests.append((self.path, part))
            path = folder / unquote(self.path).lstrip("/")
            if path.is_dir():
                names = [quote(one.name) + "/" * one.is_dir() for one in path.iterdir()]
                page = "".join(f'<a href="{name}">{name}</a>\n' for name in ("../", *names)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)
                return
            if not path.is_file():
                self.send_error(404)
                return
            if server.answers:
                self.send_response(server.answers.pop(0))
                for name, value in ({"Content-Length": "0"} | server.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                return
            content = path.read_bytes()
            asked = part and not server.whole and self.headers.get("If-Range") in (None, server.tag)
            start, stop = part.removeprefix("bytes=").split("-") if asked else ("0", "")
            start, stop = int(start), min(int(stop or len(content)), len(content) - 1) + 1
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            partly = start or stop < len(content)
            self.send_response(206 if partly else 200)
            headers = {"Content-Length": str(stop - start)} | server.described()
            if partly:
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            for name, value in (headers | server.headers).items():
                self.send_header(name, value)
            self.end_headers()
            rest = content[start:stop]
            if server.cut:
                rest = rest[: server.cut.pop(0)]
                self.close_connection = True
            for begin in range(0, len(rest), 4096):
                time.sleep(server.pause)
                self.wfile.write(rest[begin : begin + 4096])

    class Listening(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients that go are meant to."""

    with Listening(("127.0.0.1", 0), Handler) as listening:
        server.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
