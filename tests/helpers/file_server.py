"""A server of the files of a folder on this machine, that can be made to fail in the ways of real ones."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


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
        requests: (path, the part that was asked for, "" for all).
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, ""
        self.cut: list[int] = []
        self.whole, self.pause, self.tag = False, 0.0, '"1"'
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    server = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            part = self.headers.get("Range", "")
            server.requests.append((self.path, part))
            path = folder / self.path.lstrip("/")
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
            start = int(part.removeprefix("bytes=").removesuffix("-")) if asked else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            headers = {"Content-Length": str(len(content) - start), **({"ETag": server.tag} if server.tag else {})}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            for name, value in (headers | server.headers).items():
                self.send_header(name, value)
            self.end_headers()
            rest = content[start:]
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
