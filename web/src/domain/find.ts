/** Find in view: every word must occur somewhere in an element's name, namespace or label. */
import type { Graph } from "./graph";

export function matches(text: string, find: string): boolean {
  const hay = text.toLowerCase();
  return find
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

export interface Found {
  nodes: ReadonlySet<string>;
  edges: ReadonlySet<string>;
}

/** Matching ids; null when nothing is searched for. */
export function findIn(graph: Graph, find: string): Found | null {
  if (!find.trim()) return null;
  const groups = new Map(graph.groups.map((group) => [group.id, group.name]));
  return {
    nodes: new Set(
      graph.nodes
        .filter((node) => matches(`${groups.get(node.group) ?? ""}/${node.name} ${node.detail}`, find))
        .map((node) => node.id),
    ),
    edges: new Set(graph.edges.filter((edge) => matches(edge.name, find)).map((edge) => edge.id)),
  };
}
