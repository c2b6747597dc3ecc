/** From the server's map to what is drawn: what is hidden, what is bounded, and how everything is named. */
import type { EndKind, MapEdge, MapNode, PolicyEdge, ServiceMap } from "../api/types";
import { bytes, count, percent, plural } from "./format";
import { fanouts } from "./fanout";
import type { Hideable, Level } from "./url";
import { VERDICTS, WORDS, worst, type Verdict } from "./verdict";

export type PolicyState = PolicyEdge["state"];
export type DrawnKind = EndKind | "namespace" | "more";

export interface GraphNode {
  id: string;
  kind: DrawnKind;
  group: string;
  /** Unambiguous on the whole map. */
  name: string;
  /** As its box says inside its namespace. */
  label: string;
  detail: string;
  bytes: number;
  node: MapNode | null;
}

export interface GraphEdge {
  id: string;
  source: string;
  target: string;
  label: string;
  name: string;
  bytes: number;
  width: number;
  /** False when connections were opened and none was answered. */
  answered: boolean;
  /** DNS and traffic from nodes: always there, seldom the point. */
  quiet: boolean;
  members: readonly MapEdge[];
  /** What the policies in force decided; null where nobody did. */
  verdict: Verdict | null;
  /** What the chosen policies do to it; null without policies, or where nothing can be said. */
  policy: PolicyState | null;
}

export interface Group {
  id: string;
  name: string;
  kind: "namespace" | "outside";
}

export interface Graph {
  groups: Group[];
  nodes: GraphNode[];
  edges: GraphEdge[];
  hidden: Record<Hideable, number>;
  rest: { nodes: number; share: number };
}

export interface GraphOptions {
  hide: readonly Hideable[];
  top: number;
  /** On `namespace` everything in one is drawn as one; the server tells workloads and pods. */
  level?: Level;
}

const CLUSTER: Group = { id: "in:cluster", name: "Namespaces", kind: "namespace" };
const OUTSIDE: Record<string, string> = {
  aws: "AWS",
  internet: "Internet",
  node: "Nodes",
  service: "Services",
  unknown: "Unknown",
};

export const edgeId = (edge: Pick<MapEdge, "source" | "target" | "protocol" | "dst_port">): string =>
  `${edge.source}>${edge.target}:${edge.protocol}:${edge.dst_port}`;
export const edgeBytes = (edge: MapEdge): number => edge.bytes_forward + edge.bytes_reverse;

/** TCP 8080; ICMP has no port. */
export const portText = (edge: MapEdge): string =>
  edge.dst_port ? `${edge.protocol} ${edge.dst_port}` : edge.protocol;

const isExternal = (node: MapNode | undefined): boolean =>
  node == null || node.kind === "aws" || node.kind === "internet" || node.kind === "unknown";

/** Why an edge may be hidden; null for traffic between the cluster's own workloads. `callers` call nearly everybody. */
export function classify(
  edge: MapEdge,
  nodes: ReadonlyMap<string, MapNode>,
  callers: ReadonlySet<string> = new Set(),
): Hideable | null {
  const [source, target] = [nodes.get(edge.source), nodes.get(edge.target)];
  if (edge.dst_port === 53) return "dns";
  if (source?.kind === "node" && !isExternal(target)) return "probes";
  if (isExternal(source) || isExternal(target)) return "external";
  return callers.has(edge.source) ? "fanout" : null;
}

function groupOf(node: MapNode): Group {
  if (node.namespace != null) return { id: `ns:${node.namespace}`, name: node.namespace, kind: "namespace" };
  return { id: `out:${node.kind}`, name: OUTSIDE[node.kind] ?? "No namespace", kind: "outside" };
}

/** The second line of a box; the badge in the box says the kind. */
function detailOf(node: MapNode): string {
  if (node.kind === "aws") return node.region ? `AWS ${node.region}` : "AWS";
  if (node.kind === "internet" || node.kind === "service") return node.kind;
  if (node.kind === "node") return node.zone ?? "node";
  if (node.kind === "unknown") return "not identified";
  if (node.kind === "pod") return node.zone ?? "pod";
  return node.pods == null ? (node.workload_kind ?? "workload") : plural(node.pods, "pod");
}

/** Bare names where they are unambiguous, else namespace/name. A Service whose backend was not seen says so. */
export function nameNodes(nodes: readonly MapNode[]): Map<string, string> {
  const own = (node: MapNode): string => (node.kind === "service" ? `service ${node.name}` : node.name);
  const uses = new Map<string, number>();
  for (const node of nodes) uses.set(own(node), (uses.get(own(node)) ?? 0) + 1);
  const shared = (node: MapNode): boolean => (uses.get(own(node)) ?? 0) > 1 && node.namespace != null;
  return new Map(nodes.map((node) => [node.id, shared(node) ? `${node.namespace}/${own(node)}` : own(node)]));
}

/** 1 to 9 points, by the logarithm of the bytes, so that 1 kB and 1 GB both show. */
export const edgeWidth = (total: number): number => 1 + Math.min(8, Math.max(0, Math.log10(total + 1) - 2) * 1.15);

function ranked(nodes: readonly MapNode[], weight: ReadonlyMap<string, number>): MapNode[] {
  return [...nodes].sort((a, b) => (weight.get(b.id) ?? 0) - (weight.get(a.id) ?? 0) || (a.id < b.id ? -1 : 1));
}

function weigh(edges: readonly MapEdge[]): Map<string, number> {
  const weight = new Map<string, number>();
  for (const edge of edges)
    for (const end of [edge.source, edge.target]) weight.set(end, (weight.get(end) ?? 0) + edgeBytes(edge));
  return weight;
}

/** Which drawn node stands for each node: itself, or the "+ n more" of its namespace (or of everything). */
function representatives(order: readonly MapNode[], top: number): Map<string, string> {
  const drawn = order.slice(0, top);
  const groups = new Set(drawn.map((node) => groupOf(node).id));
  const shown = new Map(drawn.map((node) => [node.id, node.id]));
  for (const node of order.slice(top)) {
    const group = groupOf(node).id;
    shown.set(node.id, groups.has(group) ? `more:${group}` : "more:");
  }
  return shown;
}

const QUIET: readonly (Hideable | null)[] = ["dns", "probes", "fanout"];

interface Drawing {
  shown: ReadonlyMap<string, string>;
  names: ReadonlyMap<string, string>;
  whyOf: (edge: MapEdge) => Hideable | null;
  /** Whether what two ends that are drawn as one say to each other is drawn. */
  inside: boolean;
}

function drawEdges(edges: readonly MapEdge[], { shown, names, whyOf, inside }: Drawing): GraphEdge[] {
  const bundles = new Map<string, { source: string; target: string; members: MapEdge[] }>();
  for (const edge of edges) {
    const source = shown.get(edge.source) ?? edge.source;
    const target = shown.get(edge.target) ?? edge.target;
    const collapsed = source !== edge.source || target !== edge.target;
    if (collapsed && source === target && !inside) continue;
    const id = collapsed ? `${source}>${target}` : edgeId(edge);
    const bundle = bundles.get(id) ?? { source, target, members: [] };
    bundle.members.push(edge);
    bundles.set(id, bundle);
  }
  return [...bundles].map(([id, { source, target, members }]) => {
    const total = members.reduce((sum, edge) => sum + edgeBytes(edge), 0);
    const ports = new Set(members.map(portText));
    const label = ports.size === 1 ? ([...ports][0] ?? "") : `${ports.size} ports`;
    const answered = !members.every(
      (edge) => edge.connections > 0 && edge.connections_established === 0 && edge.bytes_reverse === 0,
    );
    const ends = `${names.get(source) ?? source} → ${names.get(target) ?? target}`;
    const verdict = worst(members.map((edge) => edge.verdict));
    const ruled = verdict && verdict !== "allowed" ? WORDS[verdict] : null;
    const state = ruled ? ` ${ruled.sign} ${ruled.word}` : answered ? "" : " unanswered";
    const name = `${ends} ${label}${state}, ${bytes(total)}`;
    const quiet = members.every((edge) => QUIET.includes(whyOf(edge)));
    return {
      id,
      source,
      target,
      label: ruled ? `${ruled.sign} ${label}` : label,
      name,
      bytes: total,
      width: ruled ? Math.max(2.5, edgeWidth(total)) : quiet ? 1 : edgeWidth(total),
      answered,
      quiet,
      members,
      verdict,
      policy: null,
    };
  });
}

function moreNodes(
  order: readonly MapNode[],
  top: number,
  shown: ReadonlyMap<string, string>,
  weight: ReadonlyMap<string, number>,
  total: number,
): GraphNode[] {
  const folded = new Map<string, MapNode[]>();
  for (const node of order.slice(top)) {
    const id = shown.get(node.id) ?? "more:";
    folded.set(id, [...(folded.get(id) ?? []), node]);
  }
  return [...folded].map(([id, members]) => {
    const sum = members.reduce((all, node) => all + (weight.get(node.id) ?? 0), 0);
    const group = id === "more:" ? "out:more" : id.slice("more:".length);
    const detail = `${percent(total ? Math.min(1, sum / total) : 0)} of bytes`;
    return {
      id,
      kind: "more",
      group,
      name: `+ ${count(members.length)} more`,
      label: `+ ${count(members.length)} more`,
      detail,
      bytes: sum,
      node: null,
    };
  });
}

/** What was denied is small, and what one looks for. */
const severity = (edge: GraphEdge): number => (edge.verdict ? VERDICTS.length - VERDICTS.indexOf(edge.verdict) : 1);
const worstFirst = (a: GraphEdge, b: GraphEdge): number =>
  severity(b) - severity(a) || b.bytes - a.bytes || (a.id < b.id ? -1 : 1);

/** Each namespace as one; what is said inside it is an edge from it to itself. */
function byNamespace(
  present: readonly MapNode[],
  edges: readonly MapEdge[],
  weight: ReadonlyMap<string, number>,
  hidden: Graph["hidden"],
  whyOf: Drawing["whyOf"],
): Graph {
  const members = new Map<string, MapNode[]>();
  for (const node of present) {
    const id = node.namespace == null ? node.id : groupOf(node).id;
    members.set(id, [...(members.get(id) ?? []), node]);
  }
  const shown = new Map([...members].flatMap(([id, nodes]) => nodes.map((node) => [node.id, id])));
  const names = nameNodes(present.filter((node) => node.namespace == null));
  const nodes = [...members].flatMap(([id, inside]): GraphNode[] => {
    const [first] = inside;
    if (!first) return [];
    const bytes = inside.reduce((sum, node) => sum + (weight.get(node.id) ?? 0), 0);
    if (first.namespace == null) {
      const name = names.get(id) ?? first.name;
      const detail = detailOf(first);
      return [{ id, kind: first.kind, group: groupOf(first).id, name, label: first.name, detail, bytes, node: first }];
    }
    names.set(id, first.namespace);
    const detail = plural(inside.filter(({ kind }) => kind === "workload").length, "workload");
    const label = first.namespace;
    return [{ id, kind: "namespace", group: CLUSTER.id, name: label, label, detail, bytes, node: null }];
  });
  const outside = present.filter((node) => node.namespace == null).map(groupOf);
  const groups = new Map([CLUSTER, ...outside].map((group) => [group.id, group]));
  return {
    groups: [...groups.values()].filter(({ id }) => nodes.some(({ group }) => group === id)),
    nodes: nodes.sort((a, b) => b.bytes - a.bytes || (a.id < b.id ? -1 : 1)),
    edges: drawEdges(edges, { shown, names, whyOf, inside: true }).sort(worstFirst),
    hidden,
    rest: { nodes: 0, share: 0 },
  };
}

/** The graph to draw. Edges keep their direction; nothing disappears without a figure in `hidden` or `rest`. */
export function buildGraph(map: ServiceMap, options: GraphOptions): Graph {
  const byId = new Map(map.nodes.map((node) => [node.id, node]));
  const callers = fanouts(map);
  const whyOf = (edge: MapEdge): Hideable | null => classify(edge, byId, callers);
  const hidden: Record<Hideable, number> = { dns: 0, probes: 0, fanout: 0, external: 0 };
  const edges = map.edges.filter((edge) => {
    const why = whyOf(edge);
    if (why == null) return true;
    hidden[why] += 1;
    return !options.hide.includes(why);
  });
  const touched = new Set(edges.flatMap((edge) => [edge.source, edge.target]));
  const everTouched = new Set(map.edges.flatMap((edge) => [edge.source, edge.target]));
  const present = map.nodes.filter((node) => touched.has(node.id) || !everTouched.has(node.id));
  const weight = weigh(edges);
  if (options.level === "namespace") return byNamespace(present, edges, weight, hidden, whyOf);
  const order = ranked(present, weight);
  const top = order.length > options.top ? options.top : order.length;
  const shown = representatives(order, top);
  const total = edges.reduce((sum, edge) => sum + edgeBytes(edge), 0) * 2;
  const more = moreNodes(order, top, shown, weight, total);
  const names = nameNodes(present);
  for (const node of more)
    names.set(node.id, node.group === "out:more" ? node.name : `${node.group.replace(/^\w+:/, "")} ${node.name}`);
  const drawn = order.slice(0, top).map((node): GraphNode => ({
    id: node.id,
    kind: node.kind,
    group: groupOf(node).id,
    name: names.get(node.id) ?? node.name,
    label: node.name,
    detail: detailOf(node),
    bytes: weight.get(node.id) ?? 0,
    node,
  }));
  const groups = new Map(order.slice(0, top).map((node) => [groupOf(node).id, groupOf(node)]));
  if (more.some((node) => node.group === "out:more"))
    groups.set("out:more", { id: "out:more", name: "Not drawn", kind: "outside" });
  const folded = more.reduce((sum, node) => sum + node.bytes, 0);
  return {
    groups: [...groups.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    nodes: [...drawn, ...more],
    edges: drawEdges(edges, { shown, names, whyOf, inside: false }).sort(worstFirst),
    hidden,
    rest: { nodes: order.length - top, share: total ? folded / total : 0 },
  };
}
