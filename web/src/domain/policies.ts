/** Policies in words and on the map: learning states, what a replay found, and what happens to each edge. */
import type {
  Coverage,
  Policies,
  PolicyDenied,
  PolicyEdge,
  PolicyEffect,
  PolicyReplay,
  PolicyUnused,
  WorkloadPolicy,
} from "../api/types";
import { explainEmpty, type Emptiness } from "./empty";
import { count, plural } from "./format";
import { edgeId, type Graph, type GraphEdge, type PolicyState } from "./graph";
import type { PolicyOverlay } from "./url";

export type Learning = WorkloadPolicy["learning"];

/** A sign beside the word, so that colour is never alone. */
export const LEARNING: Record<Learning, { sign: string; word: string }> = {
  ready: { sign: "✓", word: "ready" },
  partial: { sign: "◐", word: "partly seen" },
  gaps: { sign: "!", word: "gaps" },
  "not-run": { sign: "○", word: "did not run" },
};

export const workloadId = (workload: WorkloadPolicy): string =>
  `${workload.namespace}/${workload.kind}/${workload.name}`;

/** "3 ready, 1 gaps", best first. */
export function learningSummary(workloads: readonly WorkloadPolicy[]): string {
  return (Object.keys(LEARNING) as Learning[])
    .map((state) => [workloads.filter(({ learning }) => learning === state).length, LEARNING[state].word] as const)
    .filter(([amount]) => amount > 0)
    .map(([amount, word]) => `${amount} ${word}`)
    .join(", ");
}

const sum = (many: readonly PolicyDenied[]): number => many.reduce((total, one) => total + one.connections, 0);

/** "0 of 12,345 recorded flows …": the answer to "would anything break". */
export function replayText(replay: PolicyReplay): string {
  const over = `${plural(replay.flows, "recorded flow")} (${count(replay.connections)} distinct)`;
  if (replay.denied.length === 0) return `None of ${over} would be denied.`;
  return `${plural(sum(replay.denied), "connection")} of ${plural(replay.denied.length, "pair")} would be denied, of ${over}.`;
}

/** What else a replay found; empty when there is nothing to add. */
export function replayNotes(replay: PolicyReplay): string[] {
  const skipped = Object.entries(replay.skipped).map(([why, amount]) => `${count(amount)} not judged: ${why}`);
  const attempts = replay.attempts.length;
  return [
    ...(attempts ? [`${plural(attempts, "attempt")} that nobody answered would be denied too; nothing breaks`] : []),
    ...(replay.unused.length
      ? [`${plural(replay.unused.length, "permission")} that nothing used, each with its reason`]
      : []),
    ...skipped,
  ];
}

const REASONS: Readonly<Record<string, string>> = {
  "dns-tcp": "DNS over TCP, beside the UDP that was seen",
  probe: "health probes of the pod",
  "cidr-widening": "addresses joined to a range",
  declared: "declared in the intent",
};

/** Why a permission is there that nobody was seen to use; a word that is not known stays as it is. */
export const reasonText = (reason: string): string => REASONS[reason] ?? reason;

/** "orders/orders egress rule 2, TCP 53: DNS over TCP, beside the UDP that was seen" */
export const unusedText = (unused: PolicyUnused): string =>
  `${unused.policy} ${unused.direction} rule ${unused.rule}${unused.port ? `, ${unused.port}` : ""}: ${reasonText(unused.reason)}`;

/** What each edge of a map comes to, by the map's own edge id. */
export function judgements(effect: PolicyEffect): Map<string, PolicyEdge> {
  return new Map(effect.edges.map((edge) => [edgeId(edge), edge]));
}

const SEVERITY: readonly PolicyState[] = ["allowed", "unknown", "attempt", "denied"];

function stateOf(edge: GraphEdge, effects: ReadonlyMap<string, PolicyEdge>): PolicyState | null {
  const states = edge.members.flatMap((member) => effects.get(edgeId(member))?.state ?? []);
  return states.reduce<PolicyState | null>(
    (worst, state) => (worst == null || SEVERITY.indexOf(state) > SEVERITY.indexOf(worst) ? state : worst),
    null,
  );
}

/** The graph with the judgement on every edge; what would be denied says so in its label and its name. */
export function judged(graph: Graph, effects: ReadonlyMap<string, PolicyEdge>): Graph {
  const edges = graph.edges.map((edge) => {
    const policy = stateOf(edge, effects);
    if (policy !== "denied" || edge.verdict === "denied") return { ...edge, policy };
    const cut = edge.name.lastIndexOf(", ");
    const name = `${edge.name.slice(0, cut)} ✕ denied${edge.name.slice(cut)}`;
    return { ...edge, policy, name, label: `✕ ${edge.label}` };
  });
  return { ...graph, edges };
}

const EFFECTS: Record<PolicyState, string> = {
  allowed: "✓ These policies allow it",
  denied: "✕ These policies would deny it",
  attempt: "✕ These policies would deny it; nobody ever answered, so nothing breaks",
  unknown: "? It cannot be judged",
};

export function effectText(effect: PolicyEdge | undefined): string {
  return effect ? EFFECTS[effect.state] : "? No record of it can be judged";
}

/** One line above the map. */
export function overlayText(effect: PolicyEffect, policy: Exclude<PolicyOverlay, "off">): string {
  if (effect.policies === 0)
    return policy === "current"
      ? "No policies are in force: everything is allowed."
      : "No policies were generated: there was no traffic to learn from.";
  const denied = effect.edges.filter(({ state }) => state === "denied").length;
  const attempts = effect.edges.filter(({ state }) => state === "attempt").length;
  const what = policy === "current" ? "policies in force" : "generated policies";
  return [
    `With the ${what}, ${denied} of ${plural(effect.edges.length, "recorded edge")} would be denied`,
    attempts ? `, ${plural(attempts, "unanswered attempt")} too` : "",
    `; ${plural(effect.unused.length, "permission")} unused.`,
  ].join("");
}

/** The same from a terminal. */
export function command(parameters: Readonly<Record<string, string>>, namespace: string | null, gaps: boolean): string {
  const range = Object.entries(parameters).map(([name, value]) => `--${name} ${value}`);
  return [
    "eastwest policy generate",
    ...range,
    ...(namespace ? [`--namespace ${namespace}`] : []),
    "-o policies/",
    ...(gaps ? ["--accept-gaps"] : []),
  ].join(" ");
}

/** Why there is nothing to generate. */
export function explainNoPolicies(policies: Policies, coverage: Coverage | null, namespace: string | null): Emptiness {
  if (namespace && policies.skipped_namespaces.includes(namespace))
    return {
      title: `Nothing to learn from in ${namespace}`,
      why: `No workload of ${namespace} was seen to talk in this range, so it is left as it is.`,
      remedy: "longer",
    };
  return explainEmpty({ coverage, window: policies.window, filter: "", namespace, hidden: 0, what: "policies" });
}
