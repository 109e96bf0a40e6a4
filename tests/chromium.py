"""Pages as people see them: headless Chromium, and what a page does when somebody clicks."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def in_chromium(path: Path, folder: Path, *options: str) -> tuple[str, str]:
    """Return the DOM of a page once its scripts have run, and what Chromium wrote to its standard error."""
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--window-size=1280,1000"),
        "--virtual-time-budget=10000",
        *options,
        "--dump-dom",
        path.as_uri(),
    ]
    environment = {**os.environ, "HOME": str(folder)}
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment)
    return result.stdout, result.stderr


def acted(page: str, script: str, folder: Path) -> Any:
    """Run a script on a page, and return the object ``seen`` that the script fills."""
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    path = folder / "acting.html"
    path.write_text(f"{page}<script>const seen = {{}};{script};document.title = JSON.stringify(seen)</script>", "utf-8")
    dom, complaints = in_chromium(path, folder)
    title = re.search("<title>(.*?)</title>", dom)
    assert title, complaints[-2000:]
    return json.loads(unescape(title[1]))
