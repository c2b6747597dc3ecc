"""Enforcement in a real browser, against a real server without agents: what is asked for, and that it is in force nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from api.conftest import manifests
from api.running import RunningServer, eventually

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("enforcement")
    with RunningServer(folder, "--manifests", str(manifests(folder / "manifests"))) as server:
        status = f"{server.url}/api/v1/enforcement"
        eventually("a plan", lambda: httpx.get(status, trust_env=False).json()["nodes"])
        yield server.url


def modes(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("region", name="Modes").get_by_role("table")


def test_a_mode_is_changed_after_it_was_said_what_that_does(
    page: Page, live: str, shoot: Callable[[Page, str], None]
) -> None:
    page.goto(f"{live}/enforcement")
    expect(page.get_by_test_id("enforcement-summary")).to_have_text("Enforcement is off everywhere.")
    page.get_by_role("button", name="Change the mode of carts").click()
    dialog = page.get_by_role("dialog", name="Mode of carts")
    dialog.get_by_role("button", name="enforce").click()
    dialog.get_by_role("button", name="ingress").click()
    expect(dialog.get_by_role("status")).to_have_text(
        "Sets ingress of namespace carts to enforce on every node: what policies do not allow is dropped."
    )
    expect(modes(page).get_by_role("row", name=re.compile("^carts"))).not_to_contain_text("enforce")
    dialog.get_by_role("button", name="Set carts to enforce").click()
    expect(dialog).to_have_count(0)
    expect(modes(page).get_by_role("row", name=re.compile("^carts"))).to_contain_text("ingress enforce, egress off")
    expect(modes(page).get_by_role("row", name=re.compile("^carts"))).to_contain_text("0 of 1 pod")
    expect(page.get_by_test_id("enforcement-summary")).to_contain_text("waiting for")
    expect(page.get_by_role("region", name="Nodes")).to_contain_text("its agent has not told")
    shoot(page, "enforcement")
    page.get_by_role("button", name="Change the posture").click()
    page.get_by_role("dialog").get_by_role("button", name="deny", exact=True).click()
    page.get_by_role("button", name="Set the cluster to deny").click()
    expect(page.get_by_role("region", name="Posture")).to_contain_text("cluster: deny")


def test_a_rollout_is_started_and_aborted_from_its_card(page: Page, live: str, forgiven: list[str]) -> None:
    forgiven.append("400")
    page.goto(f"{live}/enforcement")
    card = page.get_by_role("region", name="Rollout")
    card.get_by_role("button", name="Start a rollout").click()
    dialog = page.get_by_role("dialog", name="Start a rollout")
    dialog.get_by_role("button", name=re.compile("Namespaces")).click()
    page.get_by_role("option", name="ui").click()
    page.keyboard.press("Escape")
    dialog.get_by_label("Nodes a step may take").fill("none")
    dialog.get_by_role("button", name="Begin moving 1 namespace to enforce").click()
    expect(dialog).to_contain_text("parameter: budget")
    dialog.get_by_label("Nodes a step may take").fill("1")
    dialog.get_by_role("button", name="Begin moving 1 namespace to enforce").click()
    expect(dialog).to_have_count(0)
    expect(card.get_by_role("status")).to_contain_text("running: ui to enforce")
    expect(card.get_by_role("listitem").first).to_contain_text("audit")
    card.get_by_role("button", name="Abort the rollout").click()
    page.get_by_role("dialog").get_by_role("button", name="Abort the rollout").click()
    expect(card.get_by_role("status")).to_contain_text("aborted")
    expect(card.get_by_role("button", name="Start a rollout")).to_be_visible()


def test_a_recording_says_that_it_enforces_nothing(page: Page, policed: str) -> None:
    page.goto(f"{policed}/enforcement")
    expect(page.get_by_test_id("empty")).to_contain_text("A recording enforces nothing")
