"""A real Prometheus scrapes what the code publishes: panels have data, alerts fire when all is wrong, and only then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics import parser

from deploy import prometheus
from deploy.pages import filled_in, panels, rules
from deploy.prometheus import Prometheus
from deploy.synthetic import World
from eastwest.agent.metrics.families import OF_THE_KERNEL

pytestmark = prometheus.needed
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module", params=["loud", "quiet"])
def scraped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Prometheus]]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with World(tmp_path_factory.mktemp("server"), loud=request.param == "loud") as world:
        jobs = {"agent": ("/metrics", world.agents), "server": ("/metrics", [world.server])}
        with prometheus.running(folder, jobs) as made:
            made.wait_for("every target to be up", lambda: len(made.query("up == 1")) == 3)
            time.sleep(prometheus.WINDOW_S + 14)  # let every rate have a full window
            yield request.param, made


def test_every_target_speaks_openmetrics(scraped: tuple[str, Prometheus]) -> None:
    _, made = scraped
    assert {target["health"] for target in made.targets()} == {"up"}
    assert "err" not in made.log.read_text()
    types = {entry["metric"]["__name__"] for entry in made.query('{__name__=~"eastwest_.*_created"}')}
    assert "eastwest_pod_ingress_bytes_created" in types


def test_every_counter_says_since_when_it_counts(scraped: tuple[str, Prometheus]) -> None:
    _, made = scraped
    for target in made.targets():
        page = httpx.get(target["scrapeUrl"], headers={"Accept": OPENMETRICS}, timeout=30, trust_env=False)
        for family in parser.text_string_to_metric_families(page.text):
            if family.type not in ("counter", "histogram") or family.name in {f.name for f in OF_THE_KERNEL}:
                continue
            total = "_total" if family.type == "counter" else "_count"
            series = {s.name: set[frozenset[tuple[str, str]]]() for s in family.samples}
            for sample in family.samples:
                series[sample.name].add(frozenset(sample.labels.items()))
            assert series[family.name + total] == series[family.name + "_created"], family.name


def test_every_panel_has_data_where_there_is_something_to_show(scraped: tuple[str, Prometheus]) -> None:
    world, made = scraped
    for title, panel in panels():
        found = [made.query(filled_in(target["expr"])) for target in panel["targets"]]
        if world == "loud":
            assert all(found), title
        elif not any(found):
            assert panel["fieldConfig"]["defaults"]["noValue"].startswith("No data. Needs "), title


def test_alerts_fire_when_everything_is_wrong_and_only_then(scraped: tuple[str, Prometheus]) -> None:
    world, made = scraped
    if world == "quiet":
        assert made.alerts("firing") + made.alerts("pending") == []
        return
    conntrack = {"EastwestConntrackNearlyFull"}  # this machine's own table, which is not full
    expected = {rule["alert"] for rule in rules()} - conntrack
    made.wait_for(f"{expected} to fire", lambda: {alert["alertname"] for alert in made.alerts()} == expected)
    storm = [alert for alert in made.alerts() if alert["alertname"] == "EastwestRetransmissionStorm"]
    assert {"ui"} == {alert["source"] for alert in storm} - {"__other__", "internet"}
    assert [a["node"] for a in made.alerts() if a["alertname"] == "EastwestAgentAbsent"] == ["node-gone"]


def test_sums_over_pairs_do_not_depend_on_the_limit(scraped: tuple[str, Prometheus]) -> None:
    _, made = scraped
    assert made.value("max(eastwest_pair_series) <= max(eastwest_pair_series_limit)") == 5
