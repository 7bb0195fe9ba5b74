"""Take pictures of the pages of a running dashboard: ``python scripts/screenshots.py http://127.0.0.1:8000 admin``.

The password comes from the environment variable DBADMIN_PASSWORD. Each page is taken light, dark and as wide as a
phone, and the script ends with 1 when a page is wider than its window.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

DESKTOP, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=390, height=844)
LOOKS = {"light": ("light", DESKTOP), "dark": ("dark", DESKTOP), "phone": ("light", PHONE)}
PATHS = ("/", "/databases/", "/databases/add/", "/backups/", "/jobs/", "/health/", "/migrations/", "/audit/", "/admin/")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("user")
    parser.add_argument("--paths", nargs="+", default=PATHS)
    parser.add_argument("--language", choices=["en", "ja"], default="en")
    parser.add_argument("--into", type=Path, default=Path("screenshots"))
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        too_wide = [name for look in LOOKS for name in _pictures(browser, look, options)]
        browser.close()
    for name in too_wide:
        print(f"wider than its window: {name}")
    return int(bool(too_wide))


def _pictures(browser: Browser, look: str, options: argparse.Namespace) -> Iterator[str]:
    scheme, size = LOOKS[look]
    context = browser.new_context(base_url=options.url, viewport=size, locale=options.language)
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    _sign_in(page, options.user)
    for path in options.paths:
        page.goto(path)
        name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"
        page.screenshot(path=options.into / f"{name}-{look}.png", full_page=look == "phone")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            yield f"{path} ({look})"
    context.close()


def _sign_in(page: Page, user: str) -> None:
    page.goto("/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", os.environ["DBADMIN_PASSWORD"])
    page.click("main .btn-primary")
    page.wait_for_url("**/")


if __name__ == "__main__":
    raise SystemExit(main())
