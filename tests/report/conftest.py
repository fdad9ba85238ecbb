"""A browser for tests: headless Chromium, told what to do through the two pipes of its DevTools protocol."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip


class Browser:
    """One page at 1280 x 900.

    Attributes:
        troubles: what the console or the policy complained about, and exceptions.
        requests: the addresses that pages asked for.
    """

    def __init__(self, program: str, folder: Path) -> None:
        ours, theirs = _pipe(), _pipe()  # we write to the first and read from the second
        command = f'exec "$@" 3<&{ours[0]} 4>&{theirs[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, "browser", program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(ours[0], theirs[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        self.to, self.answers = os.fdopen(ours[1], "wb", 0), os.fdopen(theirs[0], "rb", 0)
        self.rest, self.number, self.session = b"", 0, ""
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.loaded = 0
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def receive(self) -> dict[str, Any]:
        """Return the next message; note what an event says."""
        while b"\0" not in self.rest:
            more = self.answers.read(1 << 16)
            assert more, "the browser has ended"
            self.rest += more
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        event, said = message.get("method"), message.get("params", {})
        if event == "Page.loadEventFired":
            self.loaded += 1
        elif event == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif event == "Runtime.exceptionThrown" or (event == "Runtime.consoleAPICalled" and said["type"] == "error"):
            self.troubles.append(json.dumps(said))
        elif event == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.troubles.append(said["entry"]["text"])
        return message

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.troubles.clear()
        self.requests.clear()
        seen = self.loaded
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while self.loaded == seen:
            self.receive()

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression; of a promise what it comes to."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def point_at(self, selector: str, x: float, y: float, click: bool = False) -> None:
        """Move the mouse to a point of an element, in pixels from its upper left corner."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{place}.scrollIntoView({{block: 'center'}})")
        left, top = self.run(f"(({{left, top}}) => [left, top])({place}.getBoundingClientRect())")
        kinds = ("mouseMoved", "mousePressed", "mouseReleased") if click else ("mouseMoved",)
        for kind in kinds:
            self.ask("Input.dispatchMouseEvent", type=kind, x=left + x, y=top + y, button="left", clickCount=1)

    def picture(self, whole: bool = False) -> bytes:
        """Return what is on the screen, or the whole page, as a PNG."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def close(self) -> None:
        """End the browser."""
        self.session = ""
        self.ask("Browser.close")
        self.process.wait(20)
        self.to.close()
        self.answers.close()


def _pipe() -> list[int]:
    # Numbers above 9: 3 and 4 are what the browser reads and writes.
    pipe = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in pipe]
    for end in pipe:
        os.close(end)
    return moved


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser; skip where there is none."""
    program: Callable[[str], str | None] = shutil.which
    found = next(filter(None, map(program, PROGRAMS)), None)
    if found is None:
        pytest.skip("there is no Chromium here")
    chromium = Browser(found, tmp_path_factory.mktemp("browser"))
    yield chromium
    chromium.close()
