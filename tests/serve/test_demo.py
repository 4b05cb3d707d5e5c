"""The demo page in a browser: a text is marked, two systems stand side by side, files come down."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tiny_run import make_run

from helpers.paths import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the page is served, of a run with random models."""
    pytest.importorskip("streamlit")
    if BROWSER is None:
        pytest.skip("no chromium here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = make_run(tmp_path_factory.mktemp("run"))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "demo/app.py",
            "--server.port",
            str(port),
            "--server.address",
            "127.0.0.1",
            "--server.headless",
            "true",
            "--browser.gatherUsageStats",
            "false",
            "--server.fileWatcherType",
            "none",
        ],
        cwd=ROOT,
        env={**os.environ, "STUDY_RUN": str(folder), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=10).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(60)


def test_a_visitor_compares_two_systems_and_takes_the_files(address):
    from playwright.sync_api import sync_playwright

    text = "Lunch with Ann on 3 May 2027 at 1pm for 30 minutes"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(accept_downloads=True)
        page.set_default_timeout(300_000)  # a busy machine takes its time to load models
        page.goto(address)
        page.get_by_label("Text", exact=True).wait_for()

        def choose(label, option):
            page.get_by_label(label).first.click()
            page.get_by_role("option", name=option, exact=True).click()

        choose("Model", "rules")
        choose("Compare with", "full_entity_loss")
        box = page.get_by_label("Text", exact=True)
        box.fill(text)
        box.press("Control+Enter")
        page.get_by_role("button", name="Extract").click()
        page.get_by_role("heading", name="rules").wait_for()
        page.get_by_role("heading", name="full entity loss").wait_for()
        marked = page.locator("mark[title=date]").first
        marked.wait_for()
        assert marked.inner_text().startswith("3 May 2027")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download JSON").first.click()
        content = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert content["text"] == text and content["fields"]["date"] == "03/05/2027"
        assert content["model"]["name"] == "calendar/rules"
        with page.expect_download() as download:
            page.get_by_role("button", name="Download event.ics").first.click()
        assert b"DTSTART:20270503T130000" in Path(download.value.path()).read_bytes()
        browser.close()
