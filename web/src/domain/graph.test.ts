import { expect, test } from "vitest";
import { mapEdge, mapNode, serviceMap } from "./factories";
import { findIn } from "./find";
import { buildGraph, edgeWidth } from "./graph";

const everything = { hide: [], top: 100 } as const;

test("an edge is named from initiator to server with port and bytes", () => {
  const graph = buildGraph(
    serviceMap([mapEdge("ui/ui", "catalog/catalog", { bytes_forward: 200_000, bytes_reverse: 1_000_000 })]),
    everything,
  );
  expect(graph.edges.map((edge) => edge.name)).toEqual(["ui → catalog TCP 8080, 1.2 MB"]);
  expect(graph.groups.map((group) => group.name)).toEqual(["catalog", "ui"]);
});

test("the same name in two namespaces is told apart", () => {
  const graph = buildGraph(serviceMap([mapEdge("a/web", "b/web")]), everything);
  expect(graph.edges[0]?.name).toMatch(/^a\/web → b\/web /);
});

test("what nobody answered says so", () => {
  const graph = buildGraph(
    serviceMap([mapEdge("a/x", "b/y", { connections: 3, connections_established: 0, bytes_reverse: 0 })]),
    everything,
  );
  expect(graph.edges[0]).toMatchObject({ answered: false, name: "x → y TCP 8080 unanswered, 100 B" });
});

test("hidden kinds are counted whether or not they are hidden", () => {
  const nodes = [
    mapNode("a/x"),
    mapNode("kube-system/dns"),
    mapNode("n1", { kind: "node" }),
    mapNode("S3", { kind: "aws" }),
  ];
  const edges = [
    mapEdge("a/x", "kube-system/dns", { dst_port: 53, protocol: "UDP" }),
    mapEdge("n1", "a/x"),
    mapEdge("a/x", "S3"),
  ];
  const map = serviceMap(edges, nodes);
  expect(buildGraph(map, everything)).toMatchObject({
    hidden: { dns: 1, probes: 1, external: 1 },
    edges: { length: 3 },
  });
  const graph = buildGraph(map, { hide: ["dns", "probes"], top: 100 });
  expect(graph.hidden).toEqual({ dns: 1, probes: 1, fanout: 0, external: 1 });
  expect(graph.nodes.map((node) => node.id).sort()).toEqual(["S3", "a/x"]);
});

test("beyond the bound the rest is folded, with its share, and no byte is lost", () => {
  const edges = Array.from({ length: 50 }, (_, index) =>
    mapEdge(`a/s${index}`, "b/hub", { bytes_forward: 0, bytes_reverse: 1000 * (50 - index) }),
  );
  const graph = buildGraph(serviceMap(edges), { hide: [], top: 11 });
  expect(graph.nodes).toHaveLength(12);
  const more = graph.nodes.find((node) => node.kind === "more");
  expect(more).toMatchObject({ group: "ns:a", name: "+ 40 more" });
  expect(more?.detail).toMatch(/% of bytes$/);
  expect(graph.rest.nodes).toBe(40);
  const total = (of: readonly { bytes: number }[]): number => of.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(total(graph.edges)).toBe(edges.reduce((sum, edge) => sum + edge.bytes_reverse, 0));
});

test("traffic inside the fold is not drawn as a loop, but counts in its share", () => {
  const graph = buildGraph(serviceMap([mapEdge("a/x", "a/y", { bytes_reverse: 9e6 }), mapEdge("a/p", "a/q")]), {
    hide: [],
    top: 2,
  });
  expect(graph.edges).toHaveLength(1);
  expect(graph.nodes.find((node) => node.kind === "more")?.detail).toBe("< 0.1 % of bytes");
});

test("a workload without traffic is still there", () => {
  const graph = buildGraph(serviceMap([], [mapNode("a/idle")]), everything);
  expect(graph.nodes.map((node) => node.name)).toEqual(["idle"]);
});

test("width grows with bytes and stays within bounds", () => {
  expect(edgeWidth(0)).toBe(1);
  expect(edgeWidth(1e6)).toBeGreaterThan(edgeWidth(1e4));
  expect(edgeWidth(1e15)).toBeLessThanOrEqual(9);
});

test("find needs every word, in any case", () => {
  const graph = buildGraph(
    serviceMap([mapEdge("ui/ui", "catalog/catalog"), mapEdge("ui/ui", "carts/carts")]),
    everything,
  );
  expect(findIn(graph, " ")).toBeNull();
  expect([...(findIn(graph, "UI catalog")?.edges ?? [])]).toEqual(["ui/ui>catalog/catalog:TCP:8080"]);
  expect([...(findIn(graph, "carts/")?.nodes ?? [])]).toEqual(["carts/carts"]);
});

test("on the level of namespaces each is one, and what is said inside it is a loop", () => {
  const edges = [
    mapEdge("shop/ui", "shop/cart"),
    mapEdge("shop/ui", "pay/ledger", { bytes_forward: 0, bytes_reverse: 500 }),
    mapEdge("shop/cart", "pay/ledger", { dst_port: 9000, verdict: "denied", bytes_reverse: 0 }),
    mapEdge("pay/ledger", "S3"),
  ];
  const nodes = ["shop/ui", "shop/cart", "pay/ledger"].map((id) => mapNode(id));
  const map = serviceMap(edges, [...nodes, mapNode("S3", { kind: "aws" })]);
  const graph = buildGraph(map, { ...everything, level: "namespace" });
  expect(graph.nodes.map(({ name, kind, detail }) => [name, kind, detail])).toContainEqual([
    "shop",
    "namespace",
    "2 workloads",
  ]);
  expect(graph.edges.map(({ name }) => name)).toEqual([
    "shop → pay 2 ports ✕ denied, 600 B",
    "pay → S3 TCP 8080, 1 kB",
    "shop → shop TCP 8080, 1 kB",
  ]);
  const drawn = graph.edges.flatMap(({ members }) => members);
  expect(new Set(drawn)).toEqual(new Set(edges)); // no connection is lost
  expect(graph.groups.map(({ name }) => name).sort()).toEqual(["AWS", "Namespaces"]);
});

test("who calls at least half of all others is quiet, can be hidden, and is counted", () => {
  const services = Array.from({ length: 20 }, (_, index) => `team/s${index}`);
  const edges = [
    ...services.map((id) => mapEdge("watch/scraper", id, { dst_port: 9100 })),
    ...services.slice(1, 5).map((id) => mapEdge("team/s0", id)),
  ];
  const map = serviceMap(edges);
  const graph = buildGraph(map, everything);
  expect(graph.hidden.fanout).toBe(20);
  expect(graph.edges.filter(({ quiet }) => quiet).map(({ source }) => source)).toEqual(Array(20).fill("watch/scraper"));
  expect(buildGraph(map, { hide: ["fanout"], top: 100 }).edges).toHaveLength(4);
  const small = serviceMap(services.slice(0, 5).map((id) => mapEdge("watch/scraper", id)));
  expect(buildGraph(small, everything).hidden.fanout).toBe(0);
});
