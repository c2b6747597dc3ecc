"""What was denied, in a real browser: on the map, in the panel with the missing rule, and in the table."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from e2e.console.test_console import edge, query

pytestmark = pytest.mark.browser

DENIED = re.compile(r"^ui → orders TCP 8080 ✕ denied, ")
AUDITED = re.compile(r"^ui → db TCP 22 △ would be denied, ")


def test_a_denied_edge_says_so_and_names_the_missing_rule(
    page: Page, policed: str, shoot: Callable[[Page, str], None]
) -> None:
    page.goto(f"{policed}/map")
    expect(edge(page, DENIED)).to_have_count(1)
    expect(edge(page, AUDITED)).to_have_count(1)
    edge(page, DENIED).click()
    ruling = page.get_by_role("region", name="Verdict")
    expect(ruling).to_contain_text("ingress denied by NetworkPolicy shop/only-ui ingress isolation")
    expect(ruling).to_contain_text("9 denied")
    expect(ruling).to_contain_text("ingress of shop/orders from shop/ui TCP 8080")
    ruling.get_by_role("button", name="Show it as a policy").click()
    expect(ruling.get_by_label("The missing rule, ready to apply")).to_contain_text("kind: NetworkPolicy")
    expect(ruling.get_by_label("The missing rule, ready to apply")).to_contain_text("8080")
    shoot(page, "denied")


def test_the_map_is_narrowed_to_what_was_denied_and_remembers_it(page: Page, policed: str) -> None:
    page.goto(f"{policed}/map")
    page.get_by_role("button", name=re.compile("Verdict")).click()
    page.get_by_role("option", name="✕ Denied").click()
    expect(page.get_by_role("list", name="Connections").get_by_role("button")).to_have_count(1)
    assert query(page)["verdict"] == "denied"
    page.reload()
    expect(edge(page, DENIED)).to_have_count(1)
    expect(edge(page, AUDITED)).to_have_count(0)


def test_an_edge_nobody_decided_about_is_not_called_allowed(page: Page, policed: str) -> None:
    page.goto(f"{policed}/map")
    edge(page, re.compile("^n1 → ui TCP 8080, ")).click()
    expect(page.get_by_test_id("panel")).to_contain_text("No end decided")


def test_the_table_shows_denied_flows_with_their_rule(
    page: Page, policed: str, shoot: Callable[[Page, str], None]
) -> None:
    page.goto(f"{policed}/flows?verdict=denied&view=all")
    table = page.get_by_role("table", name="Flows")
    expect(
        table.get_by_role("row", name=re.compile("✕ denied.*ingress of shop.orders from shop.ui TCP 8080"))
    ).to_have_count(1)
    expect(table.get_by_role("row", name=re.compile("would be denied$"))).to_have_count(0)
    shoot(page, "flows-denied")
    page.goto(f"{policed}/flows?filter=denied_by~Posture&view=all")
    expect(table.get_by_role("row", name=re.compile("△ would be denied"))).to_have_count(1)
    expect(table.get_by_role("row", name=re.compile("✕ denied"))).to_have_count(0)
