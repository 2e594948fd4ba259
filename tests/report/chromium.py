"""Opens a page in a headless Chromium by its own flags and says what it asked for and complained about."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # the browser's own curiosity stays at home too
    "--enable-logging=stderr",
    "--v=0",
)


@dataclass(frozen=True)
class Visit:
    """``requests``: addresses the page asked for, itself aside; ``console``: its messages; ``screenshot``: pixels."""

    requests: list[str]
    console: list[str]
    screenshot: np.ndarray


def visit(page: Path, folder: Path, width: int = 1440, height: int = 1600, dark: bool = False) -> Visit:
    """Open a file; skips the test where there is no Chromium or Chrome."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("there is no chromium or google-chrome to open the page in")
    log, shot = folder / "net.json", folder / "shot.png"
    settings = [
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        f"--screenshot={shot}",
        f"--window-size={width},{height}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    ]
    command = [browser, *FLAGS, *settings, page.resolve().as_uri()]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr
    with Image.open(shot) as image:
        pixels = np.array(image.convert("RGB"))
    console = [line for line in said.splitlines() if ":CONSOLE" in line]
    return Visit(_requests(json.loads(log.read_text())), console, pixels)


def _requests(log: dict) -> list[str]:
    """Addresses that the page asked for over a network, by the browser's own log of it.

    What the browser asks for on its own account has no origin that initiated it.
    """
    kind = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event["params"] for event in log["events"] if event["type"] == kind and "url" in event.get("params", {})]
    return [
        one["url"] for one in asked if one.get("initiator") != "not an origin" and not one["url"].startswith("data:")
    ]
