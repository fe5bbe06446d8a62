"""A real headless Chromium, driven over its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run"),
    # WebGL in software, so that no graphics card is needed.
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1000,800"),
    # Nothing but the page itself: no request leaves the machine.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-address=127.0.0.1"),
)
PATIENCE_S = 120


class Page:
    """An open page: what it said, what it is, what it looks like."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._loop, self._socket, self._ids = loop, socket, itertools.count(1)
        self.errors: list[str] = []

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=PATIENCE_S)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._listen(message)

    def _listen(self, message: dict[str, Any]) -> None:
        said = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["exceptionDetails"]))
        if message.get("method") == "Runtime.consoleAPICalled" and said["type"] in ("error", "assert"):
            self.errors.append(json.dumps(said["args"]))
        if message.get("method") == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(json.dumps(said["entry"]))

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._loop.run_until_complete(self._ask(method, **parameters))

    def run(self, expression: str) -> Any:
        """Evaluate JavaScript in the page; a promise is waited for."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.run(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.1)

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """Have the page as somebody sees it who prefers a light or a dark scheme."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self) -> np.ndarray:
        """Return the pixels that are seen, (height, width, 3)."""
        data = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def chromium() -> str:
    """Return the browser's path, or skip the test."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


@contextmanager
def opened(path: Path) -> Iterator[Page]:
    """Open a file in a browser of its own."""
    program = chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            "about:blank",
        ]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        loop = asyncio.new_event_loop()
        try:
            port = _port(Path(profile) / "DevToolsActivePort", process)
            session, page = loop.run_until_complete(_connect(loop, port))
            for domain in ("Runtime", "Log", "Page"):
                page.ask(f"{domain}.enable")
            failed = page.ask("Page.navigate", url=path.resolve().as_uri()).get("errorText")
            assert not failed, f"{path}: {failed}"
            page.wait("document.readyState === 'complete' && location.protocol === 'file:'")
            yield page
            loop.run_until_complete(session.close())
        finally:
            process.kill()
            process.wait()
            loop.close()


def _port(file: Path, process: subprocess.Popen) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, "Chromium ended by itself"
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.1)
    return int(file.read_text().splitlines()[0])


async def _connect(loop: asyncio.AbstractEventLoop, port: int) -> tuple[aiohttp.ClientSession, Page]:
    session = aiohttp.ClientSession()
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        targets = await answer.json()
    address = next(target for target in targets if target["type"] == "page")["webSocketDebuggerUrl"]
    socket = await session.ws_connect(address, max_msg_size=0)
    return session, Page(loop, socket)
