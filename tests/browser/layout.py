"""How wide a page is. A click may still be loading the page it leads to; both functions wait for that."""

from __future__ import annotations

from playwright.sync_api import Page

PHONE = 390


def overflow(page: Page) -> int:
    """The pixels by which the page is wider than its window."""
    page.wait_for_load_state()
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def overflow_on_a_phone(page: Page) -> int:
    """The same in the window of a phone; the window is as before afterwards."""
    page.wait_for_load_state()
    before = page.viewport_size
    assert before
    page.set_viewport_size({"width": PHONE, "height": 900})
    try:
        return overflow(page)
    finally:
        page.set_viewport_size(before)
