"""The start page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from e2e.console.test_console import query

pytestmark = pytest.mark.browser


def test_the_overview_is_the_start_page_and_its_figures_lead_on(
    page: Page, policed: str, shoot: Callable[[Page, str], None]
) -> None:
    page.goto(policed)
    denied = page.get_by_role("region", name="Denied by policy", exact=True)
    expect(denied).to_contain_text("1 flow")
    expect(denied).to_contain_text("9 packets; audit: enforcing would deny 1 flow more")
    missing = page.get_by_role("region", name="Denied, and what is missing")
    expect(missing).to_contain_text("ingress of shop/orders from shop/ui TCP 8080")
    talkers = page.get_by_role("region", name="Top talkers")
    expect(talkers.get_by_role("listitem")).not_to_have_count(0)
    shoot(page, "overview-small")
    talkers.get_by_role("button", name="shop / orders").click()
    expect(page.get_by_role("table", name="Flows").get_by_role("row", name=re.compile("✕ denied"))).to_have_count(1)
    assert "src_workload=orders" in query(page)["filter"]
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    denied.get_by_role("button").click()
    expect(page).to_have_url(re.compile("verdict=denied"))


def test_what_no_hook_measured_is_a_dash_with_its_reason(page: Page, policed: str) -> None:
    page.goto(f"{policed}/overview")
    for name in ("Sent again (TCP)", "DNS errors"):
        tile = page.get_by_role("region", name=name, exact=True)
        expect(tile.get_by_role("note")).to_have_attribute("aria-label", re.compile("^unknown: "))
        expect(tile).not_to_contain_text("0 %")
    expect(page.get_by_role("region", name="DNS errors by workload")).to_have_count(0)


def test_a_phone_can_read_it(page: Page, policed: str) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{policed}/overview")
    expect(page.get_by_role("region", name="Top talkers")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
