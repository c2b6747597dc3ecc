/** The overview's figures in words: what a tile says, how alarming it is, and what it rests on. */
import type { Costs, Coverage, FlowRow, LookupSummary, MapEdge, Overview, ServiceMap, TopRow } from "../api/types";
import { amount, pricesText } from "./cost";
import { badge } from "./coverage";
import { bytes, count, percent, plural, UNKNOWN } from "./format";
import { nameNodes, portText } from "./graph";
import { hookReason } from "./hooks";

export type Tone = "plain" | "good" | "warn" | "bad" | "unknown";

export interface Tile {
  id: string;
  title: string;
  figure: string;
  note: string;
  tone: Tone;
  /** Why the figure is not known. */
  why: string | null;
}

/** Where a share of segments sent again is worth a look (0.1 %) and an incident (2 %). */
const RETRANSMITS = { warn: 0.001, bad: 0.02 };

export function trafficTile(overview: Overview): Tile {
  const { connections, connections_established: answered } = overview;
  return {
    id: "traffic",
    title: "Traffic",
    figure: bytes(overview.bytes),
    note: `${plural(overview.edges, "flow")}; ${plural(connections, "connection")} opened, ${count(answered)} answered`,
    tone: "plain",
    why: null,
  };
}

/** Bytes and money that cross zones. */
export function crossZoneTile(costs: Costs): Tile {
  const crossing = costs.categories.filter(({ name }) => name === "inter_zone" || name === "inter_region");
  const total = crossing.reduce((sum, group) => sum + group.bytes, 0);
  const priced = costs.cost != null ? `${amount(costs.cost)} ${costs.prices?.currency ?? ""}`.trim() : null;
  const share = costs.bytes ? `${percent(total / costs.bytes)} of all bytes` : "no traffic";
  return {
    id: "zones",
    title: "Across zones and regions",
    figure: bytes(total),
    note: priced ? `${share}; everything cost about ${priced}` : share,
    tone: "plain",
    why: priced ? null : pricesText(costs.prices),
  };
}

export function retransmitTile(overview: Overview, coverage: Coverage | null): Tile {
  const base = { id: "retransmits", title: "Sent again (TCP)" };
  if (overview.retransmits == null)
    return {
      ...base,
      figure: UNKNOWN,
      note: "not measured",
      tone: "unknown",
      why: (coverage && hookReason(coverage, "sock_ops")) ?? "Nothing was measured in this range.",
    };
  const share = overview.segments ? overview.retransmits / overview.segments : 0;
  const parts = [
    `${percent(share)} of segments`,
    plural(overview.rtos ?? 0, "timeout"),
    plural(overview.resets ?? 0, "reset"),
    `${count(overview.connection_failures ?? 0)} failed to connect`,
  ];
  const tone = share >= RETRANSMITS.bad ? "bad" : share >= RETRANSMITS.warn ? "warn" : "good";
  return { ...base, figure: count(overview.retransmits), note: parts.join(", "), tone, why: null };
}

/** "2 NXDOMAIN, 1 no answer", most first. */
export function outcomesText(outcomes: LookupSummary["outcomes"]): string {
  const failed = Object.entries(outcomes).filter(([outcome, lookups]) => outcome !== "NOERROR" && lookups > 0);
  return failed
    .sort(([, a], [, b]) => b - a)
    .map(([outcome, lookups]) => `${count(lookups)} ${outcome.replaceAll("_", " ")}`)
    .join(", ");
}

export function dnsTile(overview: Overview, coverage: Coverage | null): Tile {
  const base = { id: "dns", title: "DNS errors" };
  const { lookups, errors, outcomes } = overview.dns;
  if (lookups == null || errors == null)
    return {
      ...base,
      figure: UNKNOWN,
      note: "not measured",
      tone: "unknown",
      why: (coverage && hookReason(coverage, "dns")) ?? "No agent reported lookups in this range.",
    };
  // NXDOMAIN is a search path at work as often as not: it alone alarms nobody.
  const serious = errors - (outcomes.NXDOMAIN ?? 0);
  const tone = serious === 0 ? (errors ? "plain" : "good") : serious * 20 > lookups ? "bad" : "warn";
  const note = [`of ${plural(lookups, "lookup")}`, outcomesText(outcomes)].filter(Boolean).join(": ");
  return { ...base, figure: count(errors), note, tone, why: null };
}

export function policyTile(overview: Overview): Tile {
  const base = { id: "policy", title: "Denied by policy" };
  const { policy_allowed: allowed, policy_denied: denied, policy_would_deny: would } = overview;
  if (allowed == null && denied == null && would == null)
    return {
      ...base,
      figure: UNKNOWN,
      note: "nobody decides",
      tone: "unknown",
      why: "No node decided about a packet in this range: enforcement is off everywhere, or agents run without --enforce.",
    };
  const notes = [
    `${plural(denied ?? 0, "packet")}`,
    overview.would_deny_edges ? `audit: enforcing would deny ${plural(overview.would_deny_edges, "flow")} more` : "",
  ].filter(Boolean);
  return {
    ...base,
    figure: plural(overview.denied_edges, "flow"),
    note: notes.join("; "),
    tone: overview.denied_edges ? "bad" : overview.would_deny_edges ? "warn" : "good",
    why: null,
  };
}

export function coverageTile(coverage: Coverage): Tile {
  const { text, tone } = badge(coverage);
  const silent = coverage.nodes.filter(({ state }) => state !== "reporting").length;
  return {
    id: "coverage",
    title: "Coverage",
    figure: percent(coverage.ratio),
    note: coverage.sentences[0] ?? `${plural(coverage.nodes.length - silent, "node")} reporting, nothing missing`,
    tone: { success: "good", warning: "warn", error: "bad", stopped: "unknown" }[tone] as Tone,
    why: coverage.ratio == null ? text : null,
  };
}

/** The length of a bar, 0 to 1, against the largest. */
export const shareOf = (value: number, most: number): number => (most > 0 ? Math.max(0.01, value / most) : 0);

/** "3 before established, 1 timeout, 2 resets" */
export function retransmitNote(row: FlowRow): string {
  const parts = [
    row.retransmits_syn ? `${count(row.retransmits_syn)} before established` : "",
    plural(row.rtos ?? 0, "timeout"),
    plural(row.resets ?? 0, "reset"),
  ];
  return parts.filter(Boolean).join(", ");
}

/** Edges with denied packets, most first, named by workload. */
export function deniedEdges(map: ServiceMap, most: number): { edge: MapEdge; name: string }[] {
  const names = nameNodes(map.nodes);
  return [...map.edges]
    .sort((a, b) => (b.policy_denied ?? 0) - (a.policy_denied ?? 0))
    .slice(0, most)
    .map((edge) => ({
      edge,
      name: `${names.get(edge.source) ?? edge.source} → ${names.get(edge.target) ?? edge.target} ${portText(edge)}`,
    }));
}

export const talkerName = (row: Pick<TopRow, "namespace" | "name">): string =>
  [row.namespace, row.name].filter(Boolean).join(" / ");

/** "shop / ui → shop / db TCP 5432" */
export function flowName(row: FlowRow): string {
  const end = (side: "src" | "dst"): string => {
    const owner = row[`${side}_workload`] ?? row[`${side}_pod`];
    if (owner) return [row[`${side}_namespace`], owner].filter(Boolean).join(" / ");
    return row[`${side}_dns_name`] ?? row[`${side}_aws_service`] ?? row[`${side}_node`] ?? row[`${side}_ip`];
  };
  return `${end("src")} → ${end("dst")} ${row.protocol}${row.dst_port ? ` ${row.dst_port}` : ""}`;
}
