"""The report as PDF, printed by a headless Chromium where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from helpers.errors import UserError
from helpers.files import write_file

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
OPTIONS = (
    "--headless --disable-gpu --no-first-run --disable-background-networking --disable-sync "
    "--disable-component-update --no-pdf-header-footer"
).split()


def find_browser() -> str | None:
    """Path of a Chromium: `$CHROMIUM`, else the first known name on the search path, else None."""
    given = os.environ.get("CHROMIUM")
    return shutil.which(given) if given else next(filter(None, map(shutil.which, BROWSERS)), None)


def print_pdf(page: Path) -> Path:
    """Print an HTML file to a PDF beside it, light colours and A4 as its print style says; returns the PDF."""
    browser = find_browser()
    if browser is None:
        raise UserError(
            f"no PDF of {page.name}: no Chromium found; install chromium, set CHROMIUM to its path, or "
            "print the page from any browser"
        )
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium refuses to start with its sandbox as root
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "page.pdf"
        own = [f"--user-data-dir={folder}/profile", f"--print-to-pdf={new}", *["--no-sandbox"] * root]
        call = [browser, *OPTIONS, *own, page.resolve().as_uri()]
        try:
            done = subprocess.run(call, capture_output=True, timeout=180, check=False)
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            reason = said or f"exit status {done.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if not new.is_file() or not new.read_bytes().startswith(b"%PDF"):
            raise UserError(f"no PDF of {page.name}: {Path(browser).name} made none ({reason[:200]})")
        write_file(page.with_suffix(".pdf"), new.read_bytes())
    return page.with_suffix(".pdf")


def up_to_date(page: Path) -> bool:
    """Whether the PDF beside a page is newer than the page."""
    pdf = page.with_suffix(".pdf")
    return pdf.exists() and pdf.stat().st_mtime >= page.stat().st_mtime
