from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tinygrad_cnn.data import mirrors
from tinygrad_cnn.data.mirrors import download


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(2)
            return
        self.send_response(200 if self.path != "/missing" else 404)
        self.send_header("Content-Length", "300000")
        self.end_headers()
        self.wfile.write(bytes(1000 if self.path == "/cut" else 300_000))

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of this machine, asked without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_is_downloaded_whole(server: str) -> None:
    assert download(f"{server}/file") == bytes(300_000)


def test_a_terminal_sees_progress(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    download(f"{server}/file")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert download(f"{server}/file") == bytes(300_000)
    assert "300k/300k" in capsys.readouterr().err


def test_failures_are_os_errors_that_say_why(server: str) -> None:
    with pytest.raises(OSError, match="404"):
        download(f"{server}/missing")
    with pytest.raises(OSError, match="IncompleteRead"):
        download(f"{server}/cut")
    with pytest.raises(OSError, match="refused"):
        download("http://127.0.0.1:9/file")


def test_a_silent_server_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(mirrors._TIMEOUT) <= 10
    monkeypatch.setattr(mirrors, "_TIMEOUT", (0.2, 0.2))
    with pytest.raises(OSError, match="timed out"):
        download(f"{server}/slow")


def test_the_size_is_bounded(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "LIMIT", 299_999)
    with pytest.raises(ValueError, match="at most 299,999 bytes"):
        download(f"{server}/file")
    monkeypatch.setattr(mirrors, "LIMIT", 300_000)
    assert len(download(f"{server}/file")) == 300_000
