/** Builders for tests: a valid value of each API type, with what matters changed. */
import type {
  Coverage,
  FlowRow,
  MapEdge,
  MapNode,
  NodeCoverage,
  PolicyEdge,
  PolicyEffect,
  PolicyReplay,
  ServiceMap,
  Window,
} from "../api/types";

export const window = (patch: Partial<Window> = {}): Window => ({
  start_ns: 0,
  end_ns: 900e9,
  recorded: false,
  ...patch,
});

export function mapNode(id: string, patch: Partial<MapNode> = {}): MapNode {
  const [namespace, name] = id.includes("/") ? id.split("/") : [null, id];
  return { id, kind: "workload", namespace: namespace ?? null, name: name ?? id, zone: null, ...patch };
}

export function mapEdge(source: string, target: string, patch: Partial<MapEdge> = {}): MapEdge {
  return {
    source,
    target,
    protocol: "TCP",
    dst_port: 8080,
    service: null,
    service_port: null,
    bytes_forward: 100,
    bytes_reverse: 900,
    packets_forward: 1,
    packets_reverse: 9,
    segments_forward: 1,
    segments_reverse: 9,
    connections: 1,
    connections_established: 1,
    first_seen_ns: 1e9,
    last_seen_ns: 2e9,
    reporter: "client",
    role_source: "handshake",
    unpriced_bytes: 0,
    ...patch,
  };
}

export function nodeCoverage(node: string, patch: Partial<NodeCoverage> = {}): NodeCoverage {
  return {
    node,
    state: "reporting",
    last_window_end_ns: 900e9,
    hook_bytes: 10,
    hook_packets: 1,
    recorded_bytes: 10,
    recorded_packets: 1,
    unexplained_bytes: 0,
    unexplained_packets: 0,
    folded_edges: 0,
    lost: {},
    gaps_ns: [],
    hooks: [],
    ...patch,
  };
}

export function coverage(patch: Partial<Coverage> = {}): Coverage {
  return {
    window: window(),
    complete: true,
    ratio: 1,
    hook_bytes: 10,
    recorded_bytes: 10,
    unexplained_bytes: 0,
    unexplained_packets: 0,
    lost: {},
    nodes: [nodeCoverage("node-a")],
    sentences: [],
    notes: [],
    ...patch,
  };
}

export function policyEdge(source: string, target: string, patch: Partial<PolicyEdge> = {}): PolicyEdge {
  return {
    source,
    target,
    protocol: "TCP",
    dst_port: 8080,
    state: "allowed",
    connections: 1,
    reason: "",
    missing_rule: "",
    ...patch,
  };
}

export function policyEffect(edges: readonly PolicyEdge[], patch: Partial<PolicyEffect> = {}): PolicyEffect {
  return {
    window: window(),
    set: "generated",
    level: "workload",
    policies: 2,
    edges: [...edges],
    unused: [],
    ...patch,
  };
}

export function policyReplay(patch: Partial<PolicyReplay> = {}): PolicyReplay {
  return {
    flows: 12_345,
    connections: 321,
    allowed: 321,
    denied: [],
    attempts: [],
    unused: [],
    skipped: {},
    ...patch,
  };
}

/** The map whose nodes are exactly the ends of `edges`, unless given. */
export function serviceMap(edges: readonly MapEdge[], nodes?: readonly MapNode[]): ServiceMap {
  const ids = [...new Set(edges.flatMap((edge) => [edge.source, edge.target]))];
  return {
    window: window(),
    level: "workload",
    nodes: [...(nodes ?? ids.map((id) => mapNode(id)))],
    edges: [...edges],
    coverage: coverage(),
  };
}

export function flowRow(patch: Partial<FlowRow> = {}): FlowRow {
  const end = (side: "src" | "dst", name: string) => ({
    [`${side}_kind`]: "pod",
    [`${side}_namespace`]: name,
    [`${side}_workload`]: name,
    [`${side}_workload_kind`]: "Deployment",
    [`${side}_pod`]: `${name}-1`,
    [`${side}_node`]: "node-a",
    [`${side}_zone`]: null,
    [`${side}_region`]: null,
    [`${side}_aws_service`]: null,
    [`${side}_dns_name`]: null,
    [`${side}_ip`]: "10.0.0.1",
    [`${side}_named_by`]: "pod_uid",
  });
  const figures: Partial<MapEdge> = mapEdge("", "");
  delete figures.source;
  delete figures.target;
  const row = {
    ...end("src", "ui"),
    ...end("dst", "catalog"),
    ...figures,
    service_namespace: null,
    service_ip: null,
    wire_bytes_forward: 1,
    wire_bytes_reverse: 1,
  };
  return { ...row, ...patch } as FlowRow;
}
