/** Enforcement and rollouts in words: the matrix of modes, what is in force, and what stands in the way. */
import type { EnforcementStatus, NamespaceEnforcement, NodeEnforcement, Rollout, RolloutFlow } from "../api/types";
import type { Tone } from "./overview";
import { clock, count, duration, plural } from "./format";

export type Mode = NamespaceEnforcement["mode"];
export type Direction = NamespaceEnforcement["direction"];
export const MODES: readonly Mode[] = ["off", "audit", "enforce"];
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];
/** Stands for every namespace without an entry of its own. */
export const EVERY = "*";

/** A sign beside each word, so that colour is never alone. */
export const MODE: Record<Mode, { sign: string; word: string; meaning: string }> = {
  off: { sign: "○", word: "off", meaning: "policies are not evaluated; everything passes" },
  audit: { sign: "△", word: "audit", meaning: "policies are evaluated and counted; everything passes" },
  enforce: { sign: "●", word: "enforce", meaning: "what policies do not allow is dropped" },
};

export interface MatrixCell {
  node: string;
  ingress: Mode;
  egress: Mode;
}

export interface MatrixRow {
  namespace: string;
  cells: MatrixCell[];
  /** "12 of 12", ingress and egress together; null where everything is off. */
  inForce: string | null;
  complete: boolean;
}

const modeOn = (entry: Pick<NamespaceEnforcement, "mode" | "nodes"> | undefined, node: string): Mode =>
  entry?.nodes.find((one) => one.node === node)?.mode ?? entry?.mode ?? "off";

function inForce(entries: readonly (NamespaceEnforcement | undefined)[]): { text: string | null; complete: boolean } {
  const known = entries.flatMap((entry) => (entry?.in_force == null ? [] : [entry]));
  if (known.length === 0) return { text: null, complete: true };
  const done = Math.min(...known.map(({ in_force }) => in_force ?? 0));
  const pods = Math.max(...known.map(({ pods }) => pods));
  return { text: `${count(done)} of ${plural(pods, "pod")}`, complete: done >= pods };
}

/** What every namespace without an entry of its own is set to. */
function others(status: EnforcementStatus, nodes: readonly string[]): MatrixRow {
  const of = (direction: Direction) =>
    status.settings.modes.find((entry) => entry.namespace === EVERY && entry.direction === direction);
  const [ingress, egress] = [of("ingress"), of("egress")];
  const cells = nodes.map((node) => ({ node, ingress: modeOn(ingress, node), egress: modeOn(egress, node) }));
  return { namespace: EVERY, cells, inForce: null, complete: true };
}

/** Up to this many nodes each has a column of its own. */
const MOST_COLUMNS = 6;

export interface MatrixColumn {
  title: string;
  nodes: readonly string[];
}

/** One column a node; of many nodes, those with the same modes everywhere share one. */
export function matrixColumns({
  nodes,
  rows,
}: {
  nodes: readonly string[];
  rows: readonly MatrixRow[];
}): MatrixColumn[] {
  if (nodes.length <= MOST_COLUMNS) return nodes.map((node) => ({ title: node, nodes: [node] }));
  const alike = new Map<string, string[]>();
  nodes.forEach((node, at) => {
    const modes = rows.map(({ cells }) => `${cells[at]?.ingress}/${cells[at]?.egress}`).join();
    alike.set(modes, [...(alike.get(modes) ?? []), node]);
  });
  return [...alike.values()].map((members) => ({
    title:
      members.length === nodes.length
        ? `all ${plural(nodes.length, "node")}`
        : members.length === 1
          ? (members[0] ?? "")
          : plural(members.length, "node"),
    nodes: members,
  }));
}

/** Namespaces × nodes, in order of name; last what holds for all other namespaces. */
export function matrix(status: EnforcementStatus): { nodes: string[]; rows: MatrixRow[] } {
  const nodes = status.nodes.map(({ node }) => node).sort();
  const names = [...new Set(status.namespaces.map(({ namespace }) => namespace))]
    .filter((name) => name !== EVERY)
    .sort();
  const rows = names.map((namespace) => {
    const of = (direction: Direction): NamespaceEnforcement | undefined =>
      status.namespaces.find((entry) => entry.namespace === namespace && entry.direction === direction);
    const [ingress, egress] = [of("ingress"), of("egress")];
    const { text, complete } = inForce([ingress, egress]);
    const cells = nodes.map((node) => ({ node, ingress: modeOn(ingress, node), egress: modeOn(egress, node) }));
    return { namespace, cells, inForce: text, complete };
  });
  return { nodes, rows: [...rows, others(status, nodes)] };
}

/** "enforce", or "ingress enforce, egress off". */
export function cellText({ ingress, egress }: Pick<MatrixCell, "ingress" | "egress">): string {
  if (ingress === egress) return MODE[ingress].word;
  return `ingress ${MODE[ingress].word}, egress ${MODE[egress].word}`;
}

/** Everywhere the same, or the strictest and on how many nodes: "audit on 1 of 3 nodes". */
export function rowText(row: MatrixRow): string {
  const texts = row.cells.map(cellText);
  const [first] = [...row.cells].sort((a, b) => MODES.indexOf(strictest(b)) - MODES.indexOf(strictest(a)));
  if (!first) return MODE.off.word;
  const same = texts.filter((text) => text === cellText(first)).length;
  return same === texts.length ? cellText(first) : `${cellText(first)} on ${same} of ${plural(texts.length, "node")}`;
}

/** The stricter of both directions. */
export function strictest({ ingress, egress }: Pick<MatrixCell, "ingress" | "egress">): Mode {
  return MODES.indexOf(ingress) > MODES.indexOf(egress) ? ingress : egress;
}

/** One sentence for the whole cluster. */
export function summary(status: EnforcementStatus): { text: string; tone: Tone } {
  const modes = status.namespaces.flatMap((entry) => [entry.mode, ...entry.nodes.map(({ mode }) => mode)]);
  const late = status.nodes.filter((node) => isLate(node)).map(({ node }) => node);
  if (modes.every((mode) => mode === "off")) return { text: "Enforcement is off everywhere.", tone: "plain" };
  const names = (mode: Mode): number =>
    new Set(
      status.namespaces
        .filter((entry) => entry.mode === mode || entry.nodes.some((node) => node.mode === mode))
        .map(({ namespace }) => namespace),
    ).size;
  const parts = (["enforce", "audit"] as const)
    .filter((mode) => names(mode) > 0)
    .map((mode) => `${plural(names(mode), "namespace")} on ${mode}`);
  const waiting = late.length ? `; waiting for ${late.join(", ")}` : "; in force on every node";
  return { text: `${parts.join(", ")}${waiting}.`, tone: late.length ? "warn" : "good" };
}

/** What a node has to do and has not done. */
export const isLate = (node: NodeEnforcement): boolean =>
  node.sides > 0 && (node.realised_version !== node.version || node.missing.length > 0);

/** Why a node does not do what is asked; null when it does. */
export function nodeTrouble(node: NodeEnforcement): string | null {
  if (node.sides === 0) return null;
  if (node.reason) return node.reason;
  if (node.told_ns == null) return "its agent never told: does it run with --enforce?";
  const [first, ...others] = node.missing;
  if (first) {
    const more = others.length ? `, and ${plural(others.length, "more")}` : "";
    return `${first.namespace}/${first.name} ${first.direction}: ${first.reason}${more}`;
  }
  return node.realised_version === node.version ? null : "the newest plan is on its way";
}

/** "v12, in force since 14:03:11" */
export function nodeState(node: NodeEnforcement): string {
  if (node.realised_version === 0) return `plan ${node.version}, none in force`;
  const since = node.since_ns == null ? "" : ` since ${clock(node.since_ns)} UTC`;
  if (node.realised_version === node.version) return `plan ${node.version} in force${since}`;
  return `plan ${node.realised_version} in force${since}, ${node.version} is the newest`;
}

export interface ModeChoice {
  namespace: string;
  mode: Mode;
  direction: Direction | null;
  nodes: readonly string[] | null;
}

/** What a change will do, to be read before it is confirmed. */
export function consequence({ namespace, mode, direction, nodes }: ModeChoice): string {
  const who = namespace === EVERY ? "every namespace without a mode of its own" : `namespace ${namespace}`;
  const where = nodes ? `on ${nodes.join(", ")}` : "on every node";
  const way = direction ? `${direction} of ` : "";
  return `Sets ${way}${who} to ${MODE[mode].word} ${where}: ${MODE[mode].meaning}.`;
}

const STATUS: Record<Rollout["status"], { sign: string; word: string; tone: Tone }> = {
  running: { sign: "▶", word: "running", tone: "plain" },
  paused: { sign: "‖", word: "paused", tone: "warn" },
  stopped: { sign: "✕", word: "stopped by a gate", tone: "bad" },
  done: { sign: "✓", word: "done", tone: "good" },
  aborted: { sign: "○", word: "aborted", tone: "plain" },
};
export const rolloutStatus = (rollout: Rollout) => STATUS[rollout.status];

/** What may be done with a rollout now. */
export function actions(rollout: Rollout | null): ("start" | "pause" | "resume" | "abort")[] {
  switch (rollout?.status) {
    case "running":
      return ["pause", "abort"];
    case "paused":
    case "stopped":
      return ["resume", "abort"];
    default:
      return ["start"];
  }
}

/** "Step 2 of 6: audit 10 %; watched 1 min of 5 min" */
export function progressText(rollout: Rollout): string {
  const current = rollout.steps[rollout.step - 1];
  const step = current ? `Step ${rollout.step} of ${rollout.steps.length}: ${current.name}` : "No step is in force";
  if (!current || !["running", "paused"].includes(rollout.status)) return step;
  if (rollout.watched_s == null) return `${step}; waiting until it is in force on each of its nodes`;
  const watched = Math.min(rollout.watched_s, rollout.hold_s);
  return `${step}; watched ${watched < 1 ? "0 s" : duration(watched)} of ${duration(rollout.hold_s)}`;
}

/** 0 to 1 over all steps, the current one by the time it was watched. */
export function progress(rollout: Rollout): number {
  if (rollout.status === "done") return 1;
  if (rollout.steps.length === 0 || rollout.step === 0) return 0;
  const held = rollout.hold_s > 0 ? Math.min(1, (rollout.watched_s ?? 0) / rollout.hold_s) : 1;
  return Math.min(1, (rollout.step - 1 + held) / rollout.steps.length);
}

/** "shop/ui → shop/db TCP 8080: 12 packets denied, 3 would be" */
export function rolloutFlowText(flow: RolloutFlow): string {
  const port = flow.dst_port ? `${flow.protocol} ${flow.dst_port}` : flow.protocol;
  const parts = [
    flow.denied_packets ? `${plural(flow.denied_packets, "packet")} denied` : "",
    flow.would_deny_packets ? `${plural(flow.would_deny_packets, "packet")} would be denied` : "",
  ].filter(Boolean);
  return `${flow.src} → ${flow.dst} ${port}: ${parts.join(", ") || "no packets"} by ${flow.reason || "nobody known"}`;
}
