"""The dashboard of enforcement: what policies decide, what is in force where, and how a rollout goes."""

from __future__ import annotations

from typing import Final

from content import NODE, NS, POD, POD_NAME, RATE, Dashboard, Panel

NEEDS: Final = "a namespace in audit or enforce mode, and agents that run with --enforce"
POLICY_HOOK: Final = f"{NEEDS} (the policy-ingress hook)"
ROLLOUT: Final = "a rollout: there was none since the server has its data"
WORKLOAD: Final = "namespace, workload, direction, policy"
WORKLOAD_NAME: Final = "{{namespace}}/{{workload}} {{direction}}: {{policy}}"


def _verdict(verdict: str, by: str) -> str:
    return f'sum by ({by}) (rate(eastwest_policy_packets_total{{{NS}, verdict="{verdict}"}}{RATE}))'


ENFORCEMENT: Final = Dashboard(
    "eastwest-enforcement",
    "eastwest / Enforcement",
    "What policies allow and deny, whether everything planned is in force, and how a rollout goes.",
    (
        (
            "Verdicts",
            (
                Panel("Packets by verdict", ((f"sum by (verdict) (rate(eastwest_policy_packets_total{{{NS}}}{RATE}))", "{{verdict}}"),), "pps", "allowed and denied: enforce mode; would_deny: audit mode, and the packet passed.", needs=NEEDS),
                Panel("Denied, top 10 workloads", ((f"topk(10, {_verdict('denied', WORKLOAD)})", WORKLOAD_NAME),), "pps", "With the policy that decided. `eastwest flows --verdict denied` names the missing rule.", needs="a denial: nothing was denied"),
                Panel("Would be denied, top 10 workloads", ((f"topk(10, {_verdict('would_deny', WORKLOAD)})", WORKLOAD_NAME),), "pps", "What enforce mode would cut. Should be empty before audit becomes enforce.", needs="a would-be denial: audit mode found nothing to deny"),
                Panel("Denied, top 10 pods", ((f'topk(10, sum by ({POD}) (rate(eastwest_pod_policy_packets_total{{{NS}, verdict="denied"}}{RATE})))', POD_NAME),), "pps", "As the pod's own node counts.", needs=POLICY_HOOK),
            ),
        ),
        (
            "In force",
            (
                Panel("Pods that wait for their rules", ((f"eastwest_enforcement_pods_waiting{{{NODE}}}", "{{node}}"),), "short", "Pods of each node that do not follow its newest plan. Must go back to 0 within seconds.", red_above=1),
                Panel("Share of pods that follow each policy, lowest 10", (('bottomk(10, sum by (policy) (eastwest_enforcement_policy_pods{state="in_force"}) / sum by (policy) (eastwest_enforcement_policy_pods{state!="off"}))', "{{policy}}"),), "percentunit", "Of the pods that it selects and whose mode is not off.", "bargauge", needs=NEEDS, red_below=1),
                Panel("Plans behind", ((f"eastwest_enforcement_plan_version{{{NODE}}} - on (node) eastwest_enforcement_realised_version", "{{node}}"),), "short", "Versions between the newest plan and the one in force.", needs=NEEDS, red_above=1),
                Panel("From change to kernel", ((f"histogram_quantile(0.5, sum by (le) (rate(eastwest_agent_policy_apply_seconds_bucket{{{NODE}}}{RATE})))", "median"), (f"histogram_quantile(0.99, sum by (le) (rate(eastwest_agent_policy_apply_seconds_bucket{{{NODE}}}{RATE})))", "99th percentile")), "s", "From a change being seen by the agent to its being in force.", needs=NEEDS),
                Panel("A policy cannot be put in force", (("eastwest_enforcement_refused", ""),), "bool_yes_no", "Yes: the pods that it may select keep the policies of before. `eastwest enforce status` names it and them.", "stat", red_above=1, width=6),
                Panel("Nodes that refused their plan", ((f"sum(eastwest_agent_policy_plan_refused{{{NODE}}})", ""),), "short", "A newer plan does not fit there; the one before stays in force.", "stat", needs=NEEDS, red_above=1, width=6),
                Panel("Compilations", ((f"rate(eastwest_enforcement_compilations_total{RATE})", "compiled"), (f"rate(eastwest_enforcement_refusals_total{RATE})", "refused"), (f"rate(eastwest_enforcement_compile_seconds_total{RATE})", "share of a core")), "short", "How often all policies are compiled, and what it costs."),
            ),
        ),
        (
            "Rollout",
            (
                Panel("Status", (("eastwest_rollout_status == 1", "{{status}}"),), "short", "stopped: a gate found something, and its step was taken back.", "stat", needs=ROLLOUT, width=6),
                Panel("Steps in force", (("eastwest_rollout_steps_in_force / eastwest_rollout_steps", ""),), "percentunit", "Of all steps of the newest rollout.", "stat", needs=ROLLOUT, width=6),
                Panel("What the gates found", (("eastwest_rollout_findings > 0", "{{gate}}"),), "short", "While it is stopped. `eastwest rollout status` says what would have broken.", "bargauge", needs="a rollout that a gate has stopped"),
            ),
        ),
    ),
)  # fmt: skip
