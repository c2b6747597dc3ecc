import { memo, useEffect, useRef } from "react";
import { bytes, plural } from "../../domain/format";
import type { Found } from "../../domain/find";
import type { Graph, GraphEdge, GraphNode } from "../../domain/graph";
import type { Selected } from "../../domain/url";

interface Properties {
  graph: Graph;
  found: Found | null;
  selected: Selected | null;
  onSelect: (selected: Selected) => void;
  onPoint: (id: string | null) => void;
}

interface ItemProperties {
  kind: Selected["kind"];
  id: string;
  name: string;
  text: string;
  note: string;
  chosen: boolean;
  onSelect: Properties["onSelect"];
  onPoint: Properties["onPoint"];
}

const Item = memo(function Item({ kind, id, name, text, note, chosen, onSelect, onPoint }: ItemProperties) {
  return (
    <li>
      <button
        type="button"
        className="ew-item"
        aria-label={name}
        aria-pressed={chosen}
        data-kind={kind}
        data-id={id}
        onClick={() => onSelect({ kind, id })}
        onFocus={() => onPoint(id)}
        onBlur={() => onPoint(null)}
        onMouseEnter={() => onPoint(id)}
        onMouseLeave={() => onPoint(null)}
      >
        <span className="ew-item-text">{text}</span>
        <span className="ew-item-note">{note}</span>
      </button>
    </li>
  );
});

/** "catalog, Deployment, 2 pods, in catalog, 1.2 MB" */
function nodeName(node: GraphNode, group: string): string {
  const kind = node.node?.workload_kind ?? node.kind;
  return [node.name, kind, node.detail === kind ? "" : node.detail, group && `in ${group}`, bytes(node.bytes)]
    .filter(Boolean)
    .join(", ");
}
const edgeText = (edge: GraphEdge): string => edge.name.slice(0, edge.name.lastIndexOf(", "));

/** Every node and edge on the map as a named button: the map for keyboards and screen readers, and a list by volume for all. */
export function Outline({ graph, found, selected, onSelect, onPoint }: Properties) {
  const groups = new Map(graph.groups.map((group) => [group.id, group.name]));
  const nodes = found ? graph.nodes.filter((node) => found.nodes.has(node.id)) : graph.nodes;
  const edges = found ? graph.edges.filter((edge) => found.edges.has(edge.id)) : graph.edges;
  const list = useRef<HTMLElement>(null);
  const chosen = selected?.id;
  useEffect(() => {
    const box = list.current;
    const item = chosen ? box?.querySelector<HTMLElement>('[aria-pressed="true"]') : null;
    if (box && item && box.scrollHeight > box.clientHeight) item.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const shared = { onSelect, onPoint };
  return (
    <nav ref={list} className="ew-outline" aria-label="Map elements">
      <h2>{plural(edges.length, "connection")}</h2>
      <ul aria-label="Connections">
        {edges.map((edge) => (
          <Item
            key={edge.id}
            kind="edge"
            id={edge.id}
            name={edge.name}
            text={edgeText(edge)}
            note={bytes(edge.bytes)}
            chosen={selected?.id === edge.id}
            {...shared}
          />
        ))}
      </ul>
      <h2>{plural(nodes.length, "node")}</h2>
      <ul aria-label="Nodes">
        {nodes.map((node) => (
          <Item
            key={node.id}
            kind="node"
            id={node.id}
            name={nodeName(node, groups.get(node.group) ?? "")}
            text={node.name}
            note={groups.get(node.group) ?? ""}
            chosen={selected?.id === node.id}
            {...shared}
          />
        ))}
      </ul>
    </nav>
  );
}
