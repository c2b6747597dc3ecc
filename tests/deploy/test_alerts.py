"""Each rule fires on what it is for and stays silent on what is normal, as promtool evaluates it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.pages import RULES, rules

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")

EDGE = 'source_namespace="ui",source="ui",destination_namespace="catalog",destination="catalog"'


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation (one value per 15 s), and the labels of the alerts expected at 10 minutes."""

    alert: str
    series: dict[str, str]
    fires: tuple[dict[str, str], ...] = ()


def steady(per_step: int, start: int = 0) -> str:
    return f"{start}+{per_step}x60"


def flat(value: int | float) -> str:
    return f"{value}x60"


def exceeded(allowance: str) -> str:
    return f'eastwest_node_allowance_exceeded_packets_total{{node="a",interface="ens5",allowance="{allowance}"}}'


def edge(metric: str, more: str) -> str:
    return f"eastwest_pair_{metric}_total{{{EDGE},{more}}}"


def rtt(what: str, more: str = "", category: str = "inter_zone") -> str:
    return f'eastwest_pair_tcp_rtt_seconds_{what}{{{EDGE},direction="forward",category="{category}"{more}}}'


def policy(verdict: str) -> str:
    labels = 'namespace="ui",workload="ui",workload_kind="Deployment",direction="egress",policy="NetworkPolicy ui/ui"'
    return f'eastwest_policy_packets_total{{{labels},verdict="{verdict}"}}'


EDGE_LABELS = {"source_namespace": "ui", "source": "ui", "destination_namespace": "catalog", "destination": "catalog"}
RETRANSMITS = edge("tcp_retransmissions", 'phase="established",direction="forward"')
PACKETS = edge("packets", 'direction="forward"')
ERRORS, REQUESTS = "eastwest_pod_dns_errors_total", "eastwest_pod_dns_requests_total"
POD = '{namespace="ui",pod="ui-0",node="a"'
LAST = 'eastwest_server_node_last_window_end_seconds{cluster="c",node="a"}'
HOOK, LOST = (
    'eastwest_node_hook_bytes_total{node="a"}',
    'eastwest_node_lost_bytes_total{node="a",cause="flow_map_full"}',
)

CASES = (
    Case("EastwestBandwidthAllowanceExceeded", {exceeded("bw_in"): steady(150)}, ({"node": "a", "interface": "ens5", "allowance": "bw_in"},)),
    Case("EastwestBandwidthAllowanceExceeded", {exceeded("bw_in"): flat(99), exceeded("conntrack"): steady(150)}),
    Case("EastwestConntrackAllowanceExceeded", {exceeded("conntrack"): steady(1)}, ({"node": "a", "interface": "ens5"},)),
    Case("EastwestConntrackAllowanceExceeded", {exceeded("conntrack"): flat(7), exceeded("pps"): steady(9)}),
    Case("EastwestConntrackNearlyFull", {'eastwest_node_conntrack_entries{node="a"}': flat(95), 'eastwest_node_conntrack_limit{node="a"}': flat(100)}, ({"node": "a"},)),
    Case("EastwestConntrackNearlyFull", {'eastwest_node_conntrack_entries{node="a"}': flat(80), 'eastwest_node_conntrack_limit{node="a"}': flat(100)}),
    Case("EastwestAllowanceNearlyUsed", {'eastwest_node_conntrack_allowance_available{node="a",interface="e"}': flat(10)}, ({"node": "a", "interface": "e"},)),
    Case("EastwestAllowanceNearlyUsed", {'eastwest_node_conntrack_allowance_available{node="a",interface="e"}': flat(100000)}),
    Case("EastwestRetransmissionStorm", {RETRANSMITS: steady(75), PACKETS: steady(1500)}, (EDGE_LABELS,)),
    Case("EastwestRetransmissionStorm", {RETRANSMITS: steady(20), PACKETS: steady(1500)}),
    Case("EastwestRetransmissionStorm", {RETRANSMITS: steady(3), PACKETS: steady(15)}),
    Case("EastwestSlowRoundTrips", {rtt('bucket', ',le="0.065536"'): steady(6), rtt("count"): steady(15)}, (EDGE_LABELS,)),
    Case("EastwestSlowRoundTrips", {rtt('bucket', ',le="0.065536"'): steady(13), rtt("count"): steady(15)}),
    Case("EastwestSlowRoundTrips", {rtt('bucket', ',le="0.065536"', "internet"): steady(6), rtt("count", "", "internet"): steady(15)}),
    Case("EastwestConnectionsFail", {edge("tcp_connect_failures", 'direction="forward"'): steady(15)}, (EDGE_LABELS,)),
    Case("EastwestConnectionsFail", {edge("tcp_connect_failures", 'direction="forward"'): flat(15)}),
    Case("EastwestDnsErrors", {ERRORS + POD + ',rcode="SERVFAIL"}': steady(15), REQUESTS + POD + "}": steady(150)}, ({"namespace": "ui", "pod": "ui-0"},)),
    Case("EastwestDnsErrors", {ERRORS + POD + ',rcode="NXDOMAIN"}': steady(140), REQUESTS + POD + "}": steady(150)}),
    Case("EastwestAgentAbsent", {LAST: flat(30)}, ({"cluster": "c", "node": "a"},)),
    Case("EastwestAgentAbsent", {LAST: steady(15)}),
    Case("EastwestCoverageLoss", {HOOK: steady(10000), LOST: steady(500)}, ({"node": "a"},)),
    Case("EastwestCoverageLoss", {HOOK: steady(10000), LOST: steady(50)}),
    Case("EastwestShippingLoss", {'eastwest_agent_shipping_lost_bytes_total{node="a",cause="buffer_full"}': steady(10)}, ({"node": "a", "cause": "buffer_full"},)),
    Case("EastwestShippingLoss", {'eastwest_agent_shipping_lost_bytes_total{node="a",cause="buffer_full"}': flat(10)}),
    Case("EastwestUnexplainedBytes", {'eastwest_node_unexplained_bytes_total{node="a"}': "0x20 5x40"}, ({"node": "a"},)),
    Case("EastwestUnexplainedBytes", {'eastwest_node_unexplained_bytes_total{node="a"}': flat(0)}),
    Case("EastwestStoreDown", {"eastwest_server_store_ready": flat(0)}, ({},)),
    Case("EastwestStoreDown", {"eastwest_server_store_ready": flat(1)}),
    Case("EastwestPolicyDenies", {policy("denied"): steady(15)}, ({"namespace": "ui", "workload": "ui", "direction": "egress", "policy": "NetworkPolicy ui/ui"},)),
    Case("EastwestPolicyDenies", {policy("denied"): steady(2), policy("allowed"): steady(900), policy("would_deny"): steady(900)}),
    Case("EastwestPlanNotInForce", {'eastwest_enforcement_pods_waiting{node="a"}': flat(2)}, ({"node": "a"},)),
    Case("EastwestPlanNotInForce", {'eastwest_enforcement_pods_waiting{node="a"}': "0x20 2x8 0x40"}),
    Case("EastwestPoliciesRefused", {"eastwest_enforcement_refused": flat(1)}, ({},)),
    Case("EastwestPoliciesRefused", {"eastwest_enforcement_refused": flat(0)}),
    Case("EastwestPlanRefused", {'eastwest_agent_policy_plan_refused{node="a"}': flat(1)}, ({"node": "a"},)),
    Case("EastwestPlanRefused", {'eastwest_agent_policy_plan_refused{node="a"}': flat(0)}),
    Case("EastwestRolloutStopped", {'eastwest_rollout_status{status="stopped"}': flat(1), 'eastwest_rollout_status{status="running"}': flat(0)}, ({"status": "stopped"},)),
    Case("EastwestRolloutStopped", {'eastwest_rollout_status{status="stopped"}': flat(0), 'eastwest_rollout_status{status="running"}': flat(1)}),
)  # fmt: skip


def promtool(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *args], capture_output=True, text=True, check=False)


def unit_test(case: Case) -> dict[str, Any]:
    severity = next(r["labels"]["severity"] for r in rules() if r["alert"] == case.alert)
    expected = [{"exp_labels": {**labels, "severity": severity}} for labels in case.fires]
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f'count by ({", ".join(case.fires[0])}) (ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
                if case.fires
                else f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
                "eval_time": "10m",
                "exp_samples": [
                    {"labels": _labels(e["exp_labels"], case.fires[0]), "value": 1} for e in expected
                ],
            }
        ],
    }  # fmt: skip


def _labels(labels: dict[str, str], keep: dict[str, str]) -> str:
    return "{" + ", ".join(f'{k}="{v}"' for k, v in labels.items() if k in keep) + "}"


def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stderr + done.stdout


def test_every_rule_is_tried_both_ways() -> None:
    for rule in rules():
        mine = [case for case in CASES if case.alert == rule["alert"]]
        assert any(case.fires for case in mine), rule["alert"]
        assert any(not case.fires for case in mine), rule["alert"]


def test_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "tests.yaml"
    path.write_text(
        yaml.safe_dump(
            {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [unit_test(c) for c in CASES]}
        )
    )
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stderr + done.stdout
