/** Writes filter expressions; reading them is the server's work alone. */
import type { MapEdge, MapNode } from "../api/types";
import type { FlowView } from "./url";

const PLAIN = /^(?!(and|or|not|in|null)$)[a-z0-9_.:/-]+$/i;

/** A value as the filter language takes it: bare when it can be, else in double quotes. */
export function quote(value: string | number): string {
  const text = String(value);
  return PLAIN.test(text) ? text : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

export const term = (word: string, value: string | number): string => `${word}=${quote(value)}`;

/** Joins parts with `and`; a part with a top-level `or` is bracketed. */
export function both(...parts: string[]): string {
  const given = parts.filter((part) => part.trim());
  return given.map((part) => (given.length > 1 && /\bor\b/i.test(part) ? `(${part})` : part)).join(" and ");
}

const ADDRESS = /^([0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*)(\/\d+)?$/i;

/** Ends outside go by their address, or by the name it was looked up under. */
function outsideTerm(side: "src" | "dst", name: string): string {
  if (ADDRESS.test(name)) return term(`${side}_ip`, name);
  return name.includes(".") ? term(`${side}_dns_name`, name) : "";
}

/** The terms that pick one drawn node as the source or destination of a flow. */
export function endTerms(side: "src" | "dst", node: MapNode): string {
  const namespace = node.namespace ? term(`${side}_namespace`, node.namespace) : "";
  switch (node.kind) {
    case "workload":
      return both(namespace, term(`${side}_workload`, node.name));
    case "pod":
      return both(namespace, term(`${side}_pod`, node.name));
    case "node":
      return both(term(`${side}_kind`, "node"), term(`${side}_node`, node.name));
    case "aws":
      return both(term(`${side}_aws_service`, node.name), node.region ? term(`${side}_region`, node.region) : "");
    case "service":
      return both(namespace, term(`${side}_kind`, "service"));
    default:
      return both(term(`${side}_kind`, node.kind), outsideTerm(side, node.name));
  }
}

export function edgeFilter(edge: MapEdge, source: MapNode | undefined, target: MapNode | undefined): string {
  const port = edge.dst_port ? term("dst_port", edge.dst_port) : "";
  return both(
    source ? endTerms("src", source) : "",
    target ? endTerms("dst", target) : "",
    term("protocol", edge.protocol),
    port,
  );
}

export function nodeFilter(node: MapNode): string {
  const [source, target] = [endTerms("src", node), endTerms("dst", node)];
  return `${source.includes(" and ") ? `(${source})` : source} or ${target.includes(" and ") ? `(${target})` : target}`;
}

/** The tab of the flow table that holds an edge between these ends. */
export function viewOf(...ends: (MapNode | undefined)[]): FlowView {
  if (ends.some((end) => end?.kind === "aws")) return "aws";
  return ends.some((end) => end == null || end.kind === "internet" || end.kind === "unknown") ? "external" : "cluster";
}
