import Button from "@cloudscape-design/components/button";
import { Facts } from "../../components/facts";
import { SidePanel } from "../../components/side-panel";
import { Value } from "../../components/value";
import { nodeFilter, viewOf } from "../../domain/filter";
import { bytes, plural } from "../../domain/format";
import type { Graph, GraphEdge, GraphNode } from "../../domain/graph";
import { zoneReason } from "../../domain/zone";
import { setView } from "../../state/view";

function Edges({ title, edges }: { title: string; edges: readonly GraphEdge[] }) {
  return (
    <section>
      <h3>
        {title} ({edges.length})
      </h3>
      {edges.length === 0 && <p className="ew-soft">none in this range</p>}
      <ul className="ew-plain">
        {edges.map((edge) => (
          <li key={edge.id}>
            <button
              type="button"
              className="ew-item"
              onClick={() => setView({ selected: { kind: "edge", id: edge.id } })}
            >
              <span className="ew-item-text">{edge.name.slice(0, edge.name.lastIndexOf(", "))}</span>
              <span className="ew-item-note">{bytes(edge.bytes)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function factsOf(node: GraphNode) {
  const own = node.node;
  if (!own) return [{ name: "Bytes", value: `${bytes(node.bytes)} sent and received` }];
  return [
    ...(own.namespace ? [{ name: "Namespace", value: own.namespace }] : []),
    { name: "Kind", value: own.workload_kind ?? own.kind },
    ...(own.kind === "pod" && own.workload ? [{ name: "Workload", value: own.workload }] : []),
    ...(own.pods == null ? [] : [{ name: "Pods seen", value: plural(own.pods, "pod") }]),
    { name: "Zone", value: <Value text={own.zone ?? "–"} why={own.zone ? null : zoneReason(own.kind, own.pods)} /> },
    ...(own.region ? [{ name: "Region", value: own.region }] : []),
    { name: "Bytes", value: `${bytes(node.bytes)} sent and received` },
  ];
}

/** One end of traffic and everything that goes in and out. */
export function NodePanel({ node, graph, onClose }: { node: GraphNode; graph: Graph; onClose: () => void }) {
  const own = node.node;
  const open = (): void => {
    if (own) setView({ page: "flows", filter: nodeFilter(own), view: viewOf(own), cursor: null, row: null });
  };
  return (
    <SidePanel
      title={node.name}
      subtitle={[node.node?.workload_kind ?? node.kind, node.detail].join(", ")}
      onClose={onClose}
    >
      {own ? (
        <div className="ew-row">
          <Button onClick={open}>View flows</Button>
          {own.namespace && (
            <Button onClick={() => setView({ namespace: own.namespace, selected: null })}>Only {own.namespace}</Button>
          )}
        </div>
      ) : node.kind === "namespace" ? (
        <div className="ew-row">
          <Button
            variant="primary"
            onClick={() => setView({ namespace: node.name, level: "workload", selected: null })}
          >
            Open {node.name}
          </Button>
          <Button
            onClick={() => setView({ page: "flows", namespace: node.name, filter: "", view: "all", cursor: null })}
          >
            View flows
          </Button>
        </div>
      ) : (
        <Button onClick={() => setView({ top: 1000, selected: null })}>Draw everything</Button>
      )}
      <Facts facts={factsOf(node)} />
      <Edges title="Incoming" edges={graph.edges.filter((edge) => edge.target === node.id)} />
      <Edges title="Outgoing" edges={graph.edges.filter((edge) => edge.source === node.id)} />
    </SidePanel>
  );
}
