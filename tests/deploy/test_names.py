"""Dashboards, alerts and the documentation only speak of metrics that exist; a panel that may stay empty says why."""

from __future__ import annotations

from deploy.pages import ROOT, load, panels, rules
from deploy.registry import ALL, SAMPLES, names_in


def test_no_name_is_given_twice() -> None:
    assert len({f.name for f in ALL}) == len(ALL)
    assert len(SAMPLES) == sum(len(f.sample_names()) for f in ALL)


def test_panels_and_alerts_use_names_that_exist() -> None:
    asked = {name for _, panel in panels() for target in panel["targets"] for name in names_in(target["expr"])}
    alerted = {name for rule in rules() for name in names_in(rule["expr"])}
    assert asked
    assert alerted
    assert asked | alerted <= set(SAMPLES)


def test_a_panel_that_needs_a_hook_says_so_when_it_is_empty() -> None:
    for title, panel in panels():
        for target in panel["targets"]:
            for name in names_in(target["expr"]):
                hook = SAMPLES[name].hook
                assert hook is None or f"the {hook} hook" in panel["fieldConfig"]["defaults"]["noValue"], (title, name)


def test_every_alert_tells_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description", "runbook"} <= set(rule["annotations"]), rule["alert"]
        assert "\u2014" not in str(rule)


def test_the_documentation_is_generated_from_the_code() -> None:
    text = load(ROOT / "scripts" / "metrics_doc.py").document()
    assert (ROOT / "docs" / "metrics.md").read_text() == text
    assert all(f"`{name}`" in text for name in SAMPLES)
