"""The console in a real browser: what a person does with the map and the table, by mouse and by keyboard."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Shoot = Callable[[Page, str], None]
Serve = Callable[[str], str]
AXE = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
EDGE = re.compile(r"^ui → catalog TCP 8080, [\d.]+ [kMG]?B$")


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def edge(page: Page, name: re.Pattern[str] = EDGE):  # type: ignore[no-untyped-def]
    return page.get_by_role("list", name="Connections").get_by_role("button", name=name)


def test_the_map_is_drawn_and_every_element_is_a_named_button(page: Page, shop: str, shoot: Shoot) -> None:
    page.goto(f"{shop}/map")
    expect(edge(page)).to_have_count(1)
    expect(
        page.get_by_role("list", name="Nodes").get_by_role("button", name=re.compile("^catalog-mysql, "))
    ).to_have_count(1)
    canvas = page.get_by_test_id("canvas")
    buttons = page.get_by_role("list", name="Connections").get_by_role("button")
    expect(canvas).to_have_attribute("data-edges", str(buttons.count()))
    assert canvas.locator("canvas").count() > 0
    shoot(page, "map-light")


def test_an_edge_opens_its_panel_and_its_flows(page: Page, shop: str, shoot: Shoot) -> None:
    page.goto(f"{shop}/map")
    edge(page).click()
    panel = page.get_by_test_id("panel")
    expect(panel.get_by_role("heading", name="ui → catalog TCP 8080")).to_be_visible()
    for row in ("Bytes", "Rate", "Packets", "Segments"):
        expect(panel.get_by_role("row", name=re.compile(f"^{row} "))).to_be_visible()
    expect(panel).to_contain_text("catalog / catalog")
    expect(panel).to_contain_text(re.compile(r"opened, .* answered|open since before"))
    assert "edge" in query(page)
    shoot(page, "edge")
    panel.get_by_role("button", name="View flows").click()
    expect(page.get_by_role("table", name="Flows")).to_be_visible()
    assert "src_workload=ui" in query(page)["filter"]
    expect(page.get_by_role("row", name=re.compile(r"catalog \/ catalog.*TCP 8080"))).not_to_have_count(0)
    expect(page.get_by_role("cell", name="catalog / catalog-mysql")).to_have_count(0)


def test_a_node_shows_what_goes_in_and_out(page: Page, shop: str) -> None:
    page.goto(f"{shop}/map")
    page.get_by_role("list", name="Nodes").get_by_role("button", name=re.compile("^checkout, ")).click()
    panel = page.get_by_test_id("panel")
    expect(panel.get_by_role("heading", name=re.compile(r"^Incoming \([1-9]"))).to_be_visible()
    panel.get_by_role("button", name=re.compile("^checkout → checkout-redis TCP 6379")).click()
    expect(panel.get_by_role("heading", name=re.compile("^checkout → checkout-redis"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_the_table_is_filtered_sorted_and_exported(page: Page, shop: str, shoot: Shoot) -> None:
    page.goto(f"{shop}/flows")
    table = page.get_by_role("table", name="Flows")
    expect(table.get_by_role("row", name=re.compile(r"catalog \/ catalog-mysql"))).not_to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("src_namespace=orders and dst_port=5432")
    page.keyboard.press("Enter")
    expect(table.get_by_role("row", name=re.compile(r"catalog \/ catalog-mysql"))).to_have_count(0)
    expect(table.get_by_role("row", name=re.compile(r"orders \/ orders-postgresql"))).not_to_have_count(0)
    assert query(page)["filter"] == "src_namespace=orders and dst_port=5432"
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert rows
    assert {row["dst_port"] for row in rows} == {"5432"}
    page.get_by_role("button", name="Clear the filter").click()
    table.get_by_role("columnheader", name="Bytes reverse").click()
    expect(table.get_by_role("columnheader", name=re.compile("Bytes reverse"))).to_have_attribute(
        "aria-sort", re.compile("ascending|descending")
    )
    assert query(page)["sort"].endswith("bytes_reverse")
    shoot(page, "flows-light")


def test_the_three_views_hold_what_they_say(page: Page, shop: str) -> None:
    page.goto(f"{shop}/flows")
    table = page.get_by_role("table", name="Flows")
    page.get_by_role("button", name="External").click()
    expect(page).to_have_url(re.compile("view=external"))
    expect(table.get_by_role("row", name=re.compile("catalog-mysql"))).to_have_count(0)
    page.get_by_role("button", name="AWS services").click()
    expect(page).to_have_url(re.compile("view=aws"))


def test_the_server_completes_and_corrects_the_filter(page: Page, shop: str) -> None:
    page.goto(f"{shop}/flows")
    bar = page.get_by_role("combobox", name="Filter")
    bar.click()
    page.keyboard.type("src_names")
    page.get_by_role("option", name="src_namespace").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(bar).to_have_value("src_namespace")
    bar.fill("nonsense=1 and dst_port=80")
    expect(page.get_by_role("alert")).to_contain_text("nonsense")
    expect(page.locator(".ew-wrong")).to_have_text("nonsense")
    expect(bar).to_have_attribute("aria-invalid", "true")


def test_reloading_restores_the_view(page: Page, shop: str) -> None:
    page.goto(f"{shop}/map")
    page.get_by_role("button", name="1 h", exact=True).click()
    page.get_by_text(re.compile(r"^DNS \(\d+\)$")).click()
    edge(page).click()
    page.get_by_role("searchbox", name="Find in the map").fill("catalog")
    expect(page).to_have_url(re.compile("find=catalog"))
    before = page.url
    assert query(page).keys() == {"range", "hide", "edge", "find"}
    page.reload()
    expect(page.get_by_test_id("panel").get_by_role("heading", name="ui → catalog TCP 8080")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Find in the map")).to_have_value("catalog")
    expect(page.get_by_role("button", name=re.compile("coredns UDP 53"))).to_have_count(0)
    assert page.url == before
    page.go_back()
    assert page.url != before


def test_a_details_panel_survives_a_reload_and_narrows_the_table(page: Page, shop: str) -> None:
    page.goto(f"{shop}/flows")
    page.get_by_role("button", name="Details of ui / ui").first.click()
    panel = page.get_by_test_id("panel")
    expect(panel).to_contain_text("named by")
    expect(panel.get_by_test_id("path").get_by_text("on node-").first).to_be_visible()
    history = panel.get_by_test_id("history")
    expect(history.get_by_role("img", name=re.compile("^History: at most "))).to_be_visible()
    page.reload()
    panel.get_by_role("button", name="Only src_namespace=ui").click()
    expect(page.get_by_role("combobox", name="Filter")).to_have_value("src_namespace=ui")


def test_the_keyboard_reaches_everything(page: Page, shop: str) -> None:
    page.goto(f"{shop}/map")
    expect(edge(page)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("f")
    expect(page).to_have_url(re.compile("/flows"))
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page).to_have_url(re.compile("/map"))
    expect(edge(page)).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Find in the map")).to_be_focused()
    page.keyboard.type("catalog-mysql")
    expect(edge(page)).to_have_count(0)
    edge(page, re.compile("^catalog → catalog-mysql TCP 3306")).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("panel")).to_be_visible()
    page.keyboard.press("f")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("panel")).to_have_count(0)


def test_dark_and_light(page: Page, shop: str, shoot: Shoot) -> None:
    page.goto(f"{shop}/map")
    expect(edge(page)).to_be_visible()
    light = page.evaluate("getComputedStyle(document.querySelector('.ew-shell')).backgroundColor")
    page.get_by_role("button", name="Use the dark theme").click()
    expect(page.get_by_role("button", name="Use the light theme")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.ew-shell')).backgroundColor") != light
    shoot(page, "map-dark")
    page.goto(f"{shop}/flows")
    expect(page.get_by_role("button", name="Use the light theme")).to_be_visible()
    expect(page.get_by_role("table", name="Flows")).to_be_visible()
    shoot(page, "flows-dark")


def test_the_badge_opens_the_books(page: Page, serve: Serve, shoot: Shoot) -> None:
    page.goto(f"{serve('silent')}/map")
    page.get_by_role("button", name="Coverage: 99.2 % – 2 gaps. Show the books").click()
    expect(page.get_by_role("list", name="What is missing").get_by_role("listitem")).to_have_count(2)
    expect(
        page.get_by_role("table", name="Books of each node").get_by_role(
            "row", name=re.compile("node-c.*silent.*map full 700 kB")
        )
    ).to_be_visible()
    assert query(page)["panel"] == "coverage"
    shoot(page, "coverage")


def test_pausing_holds_the_moment_in_the_address(page: Page, serve: Serve) -> None:
    page.goto(f"{serve('shop')}/map")
    page.get_by_role("button", name="Pause automatic refresh").click()
    expect(page.get_by_text(re.compile("^Paused at"))).to_be_visible()
    assert query(page)["at"].endswith("Z")
    page.get_by_role("button", name="Resume automatic refresh").click()
    assert "at" not in query(page)


def test_emptiness_says_why(page: Page, serve: Serve, shop: str, shoot: Shoot) -> None:
    page.goto(f"{serve('shop')}/map?ns=nowhere")
    expect(page.get_by_test_id("empty")).to_contain_text("No connections in namespace nowhere")
    page.get_by_role("button", name="All namespaces").last.click()
    expect(edge(page)).to_be_visible()
    page.goto(f"{shop}/flows?filter=dst_port%3D9")
    expect(page.get_by_test_id("empty")).to_contain_text("The filter matches nothing")
    shoot(page, "empty")
    page.goto(f"{serve('nothing')}/map")
    expect(page.get_by_test_id("empty")).to_contain_text("nothing was sent or received")


def test_a_phone_can_read_it(page: Page, shop: str, shoot: Shoot) -> None:
    page.set_viewport_size({"width": 420, "height": 900})
    page.goto(f"{shop}/map")
    expect(edge(page)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    shoot(page, "map-narrow")


def test_a_large_cluster_is_bounded_and_quick(page: Page, serve: Serve, shoot: Shoot) -> None:
    page.goto(f"{serve('big')}/map")
    expect(page.get_by_test_id("canvas")).to_have_attribute("data-nodes", re.compile(r"^1\d\d$"))
    expect(page.get_by_text("200 more nodes folded")).to_be_visible()
    shoot(page, "map-large")
    took = page.evaluate("performance.now()")
    page.get_by_role("button", name="Draw all").click()
    expect(page.get_by_test_id("canvas")).to_have_attribute("data-edges", "2000")
    assert page.evaluate("performance.now()") - took < 30_000


def test_a_server_with_a_token_asks_for_it(page: Page, serve: Serve, forgiven: list[str]) -> None:
    forgiven.append("401")
    page.goto(f"{serve('token')}/map")
    page.get_by_label("Token", exact=True).fill("open")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("this is not the server's token")).to_be_visible()
    page.get_by_label("Token", exact=True).fill("sesame")
    page.keyboard.press("Enter")
    expect(edge(page)).to_be_visible()


def test_an_error_names_the_parameter_to_change(page: Page, shop: str, forgiven: list[str]) -> None:
    forgiven.append("400")
    page.goto(f"{shop}/flows?sort=nonsense")
    expect(page.get_by_text(re.compile("nonsense.*parameter: sort"))).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/overview", "/map", "/flows"])
def test_nothing_serious_bars_anyone(page: Page, shop: str, path: str, theme: Literal["light", "dark"]) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make setup")
    page.emulate_media(color_scheme=theme)
    page.goto(f"{shop}{path}")
    if path == "/overview":
        expect(page.get_by_role("region", name="Top talkers")).to_be_visible()
    else:
        opener = edge(page) if path == "/map" else page.get_by_role("button", name="Details of ui / ui").first
        opener.click()
        expect(page.get_by_test_id("panel")).to_be_visible()
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})")
    assert len(found["passes"]) > 10
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"]) for v in serious] == []


def test_an_unreachable_server_is_said_and_the_map_stays(page: Page, serve: Serve, forgiven: list[str]) -> None:
    forgiven.append("ERR_FAILED")
    page.goto(f"{serve('shop')}/map")
    expect(edge(page)).to_be_visible()
    page.route("**/api/v1/service-map*", lambda route: route.abort())
    page.get_by_role("button", name="Pods", exact=True).click()
    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    expect(edge(page)).to_be_visible()
    page.unroute("**/api/v1/service-map*")
    expect(page.get_by_text("The server does not answer.")).to_have_count(0, timeout=15_000)
