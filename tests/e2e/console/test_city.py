"""The console over a cluster of the size people have: what can be read, what stays reachable, what is said of a dash."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from api.running import RunningServer
from e2e.console.city import NO_SOCK, City, build
from e2e.console.test_console import query

pytestmark = pytest.mark.browser

PODS, WORKLOADS, NAMESPACES = 296, 64, 14


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, cluster = tmp_path_factory.mktemp("city"), City()
    assert (sum(map(len, cluster.pods.values())), len(cluster.pods)) == (PODS, WORKLOADS)
    with RunningServer(folder, "--manifests", str(cluster.manifests(folder / "manifests"))) as server:
        assert build(server, cluster, windows=1, spread_s=60) > 5000
        yield server.url


def connections(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("list", name="Connections").get_by_role("button")


def test_every_namespace_as_one_then_opened(page: Page, city: str, shoot: Callable[[Page, str], None]) -> None:
    """No warning of the drawing's either (the page fixture sees them): a cluster talks to itself, and loops are drawn."""
    page.goto(f"{city}/map")
    canvas = page.get_by_test_id("canvas")
    expect(connections(page).filter(has_text="kafka → kafka TCP 9093")).to_have_count(1)
    expect(canvas).to_have_attribute("data-nodes", str(WORKLOADS + 6))  # two AWS services, four addresses
    shoot(page, "city")
    page.get_by_role("button", name="Namespaces", exact=True).click()
    expect(canvas).to_have_attribute("data-nodes", str(NAMESPACES + 6))
    assert query(page)["level"] == "namespace"
    page.get_by_role("button", name=re.compile("^analytics → analytics .* ✕ denied")).click()
    inside = page.get_by_test_id("panel").get_by_role(
        "button", name=re.compile("reports → clickhouse TCP 8123, ✕ denied")
    )
    shoot(page, "city-namespaces")
    inside.click()
    panel = page.get_by_test_id("panel")
    expect(panel.get_by_role("heading", name="reports → clickhouse TCP 8123 ✕ denied")).to_be_visible()
    expect(panel.get_by_role("region", name="Verdict")).to_contain_text("NetworkPolicy analytics/clickhouse")
    assert "level" not in query(page)


def test_who_calls_nearly_everybody_is_put_aside_and_counted(page: Page, city: str) -> None:
    page.goto(f"{city}/map")
    scrapes = connections(page).filter(has_text=re.compile("^prometheus → "))
    expect(scrapes).to_have_count(65)
    page.get_by_text("Fan-out (64)").click()
    expect(scrapes).to_have_text(re.compile("coredns UDP 53"))  # DNS has a switch of its own
    expect(page.get_by_text("Fan-out (64)")).to_be_visible()
    assert query(page)["hide"] == "fanout"


def test_names_can_be_read_without_zooming_and_zoom_needs_no_wheel(page: Page, city: str) -> None:
    page.goto(f"{city}/map")
    canvas = page.get_by_test_id("canvas")
    expect(canvas).to_have_attribute("data-names", re.compile(r"^\d"))
    assert float(canvas.get_attribute("data-names") or 0) >= 8  # pixels of a letter's height on a 1440x900 screen
    before = float(canvas.get_attribute("data-zoom") or 0)
    page.get_by_role("button", name="Larger (+)").click()
    page.keyboard.press("+")
    assert float(canvas.get_attribute("data-zoom") or 0) == pytest.approx(before * 1.96, rel=0.01)
    page.keyboard.press("-")
    page.get_by_role("button", name="Smaller (-)").click()
    assert float(canvas.get_attribute("data-zoom") or 0) == pytest.approx(before, rel=0.01)


def test_thousands_of_rows_come_by_the_page(page: Page, city: str) -> None:
    page.goto(f"{city}/flows?view=all&size=100")
    table = page.get_by_role("table", name="Flows")
    pages = page.get_by_role("group", name="Pages")
    expect(pages).to_contain_text(re.compile(r"rows 1–100 of [2-6],\d{3}"))
    expect(table.get_by_role("row")).to_have_count(101)  # and the header
    pages.get_by_role("button", name="Next page").click()
    expect(pages).to_contain_text(re.compile(r"rows 101–200 of"))


def test_a_dash_names_the_node_that_could_not_tell(page: Page, city: str) -> None:
    page.goto(f"{city}/flows?filter=src_node%3D{NO_SOCK}+and+src_workload%3Dcatalog&view=aws")
    page.get_by_role("button", name=re.compile("^Details of ")).first.click()
    panel = page.get_by_test_id("panel")
    again = panel.locator("dt:text-is('Sent again') + dd").get_by_role("note")
    expect(again).to_have_attribute("aria-label", re.compile(f"unknown: .*sock_ops.* {NO_SOCK}: refused \\(EPERM"))
    expect(again).not_to_have_text("0")


def test_many_nodes_with_the_same_modes_share_a_column(page: Page, city: str) -> None:
    page.goto(f"{city}/enforcement")
    modes = page.get_by_role("region", name="Modes").get_by_role("table")
    expect(modes.get_by_role("columnheader", name="all 12 nodes")).to_be_visible()
    expect(modes.get_by_role("columnheader")).to_have_count(3)
    expect(modes.get_by_role("row")).to_have_count(1 + NAMESPACES + 1)
