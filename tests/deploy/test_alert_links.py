"""What an alert says to open or to type shows what the alert is about: rendered by promtool, read by our own parsers."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from deploy.pages import ROOT, RULES, rules
from deploy.test_alerts import CASES, PACKETS, RETRANSMITS, Case, promtool, steady
from eastwest.cli.main import _build
from eastwest.query.filter import parse

UI, CATALOG = (
    'src_namespace="ui" and src_workload="ui"',
    'dst_namespace="catalog" and (dst_workload="catalog" or dst_kind=service and service="catalog")',
)
PAGES = re.search(r"PAGES.*=\s*\[(.*)\]", (ROOT / "web/src/domain/url.ts").read_text())
FILTERS = {
    "EastwestBandwidthAllowanceExceeded": 'src_node="a" or dst_node="a"',
    "EastwestConntrackAllowanceExceeded": 'src_node="a" or dst_node="a"',
    "EastwestConntrackNearlyFull": 'src_node="a" or dst_node="a"',
    "EastwestAllowanceNearlyUsed": 'src_node="a" or dst_node="a"',
    "EastwestRetransmissionStorm": f"{UI} and {CATALOG}",
    "EastwestSlowRoundTrips": f"{UI} and {CATALOG}",
    "EastwestConnectionsFail": f"{UI} and {CATALOG}",
    "EastwestDnsErrors": 'src_namespace="ui" and src_pod="ui-0" and dst_port=53',
    "EastwestPolicyDenies": 'namespace="ui" and workload="ui"',
}


def rendered(tmp_path: Path, case: Case) -> dict[str, str]:
    """The links of the alert that a case fires, as Prometheus fills them in."""
    rule = next(dict(r) for r in rules() if r["alert"] == case.alert)
    rule["annotations"] = {k: v for k, v in rule["annotations"].items() if k in ("console", "command")}
    (tmp_path / "rule.yaml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    test: dict[str, Any] = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": "10m", "alertname": case.alert, "exp_alerts": []}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rule.yaml"], "tests": [test]}))
    done = promtool("test", "rules", str(tmp_path / "test.yaml"))
    got = (done.stdout + done.stderr).split("got:", 1)[1]
    found = re.findall(r'(console|command)=("(?:[^"\\]|\\.)*")', got)
    assert len(found) == 2, got
    return {name: yaml.safe_load(value) for name, value in found}


def understood(command: str) -> None:
    words = shlex.split(command)
    assert words[0] == "eastwest", command
    parser, chosen = _build(words[1])
    args, surplus = parser.parse_known_args(words[1:])
    (chosen or parser).check(surplus)
    if words[1] == "flows" and args.filter:
        parse(args.filter)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.fires and c.alert != "EastwestStoreDown"], ids=lambda c: c.alert
)
def test_links_show_what_the_alert_is_about(case: Case, tmp_path: Path) -> None:
    links = rendered(tmp_path, case)
    path = urlsplit(links["console"])
    assert PAGES is not None
    assert f'"{path.path.strip("/")}"' in PAGES[1]
    understood(links["command"])
    if case.alert in FILTERS:
        assert parse_qs(path.query)["filter"] == [FILTERS[case.alert]]
        assert parse(_filter(links["command"])) == parse(FILTERS[case.alert])
    else:
        assert "filter" not in path.query


def _filter(command: str) -> str:
    return next(word for word in shlex.split(command) if "=" in word)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("10.1.2.3", 'dst_ip="10.1.2.3"'),
        ("2001:db8::1", 'dst_ip="2001:db8::1"'),
        ("S3", '(dst_node="S3" or dst_aws_service="S3" or dst_dns_name="S3")'),
        ("__other__", '(dst_node="__other__" or dst_aws_service="__other__" or dst_dns_name="__other__")'),
    ],
)
def test_ends_that_are_no_workloads(name: str, terms: str, tmp_path: Path) -> None:
    def outside(series: str) -> str:
        return series.replace(
            'destination_namespace="catalog",destination="catalog"', f'destination_namespace="",destination="{name}"'
        )

    links = rendered(
        tmp_path,
        Case("EastwestRetransmissionStorm", {outside(RETRANSMITS): steady(75), outside(PACKETS): steady(1500)}),
    )
    assert parse_qs(urlsplit(links["console"]).query)["filter"] == [f"{UI} and {terms}"]
    understood(links["command"])
    parse(f"{UI} and {terms}")


def test_every_command_in_a_runbook_is_one() -> None:
    commands = re.findall(r"`(eastwest [^`]+)`", RULES.read_text())
    assert len(commands) > 5
    for command in commands:
        if command.split()[1:2] != ["policy"] or len(command.split()) > 3:
            understood(command)


def test_every_alert_has_a_link_and_a_command() -> None:
    without = {r["alert"] for r in rules() if not {"console", "command"} <= r["annotations"].keys()}
    assert without == {"EastwestStoreDown"}, "nothing can be looked up while the store is down"
