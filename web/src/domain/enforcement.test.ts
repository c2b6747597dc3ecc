import { expect, test } from "vitest";
import type { EnforcementStatus, NamespaceEnforcement, NodeEnforcement, Rollout } from "../api/types";
import {
  actions,
  cellText,
  consequence,
  isLate,
  matrix,
  matrixColumns,
  nodeState,
  nodeTrouble,
  progress,
  progressText,
  rolloutFlowText,
  rowText,
  strictest,
  summary,
} from "./enforcement";

const node = (name: string, patch: Partial<NodeEnforcement> = {}): NodeEnforcement => ({
  node: name,
  version: 12,
  realised_version: 12,
  generation: 3,
  since_ns: 3_600e9,
  told_ns: 3_600e9,
  pods: 4,
  sides: 4,
  missing: [],
  capability: [],
  reason: null,
  ...patch,
});
const entry = (
  namespace: string,
  direction: "ingress" | "egress",
  patch: Partial<NamespaceEnforcement> = {},
): NamespaceEnforcement => ({ namespace, direction, mode: "off", nodes: [], pods: 4, in_force: null, ...patch });
const status = (patch: Partial<EnforcementStatus> = {}): EnforcementStatus => ({
  revision: 1,
  inventory_ns: 1,
  compiled_ns: 1,
  compile_seconds: 0.1,
  trouble: null,
  settings: { revision: 1, modes: [], postures: [] },
  nodes: [node("b"), node("a")],
  namespaces: [],
  policies: [],
  held_back: [],
  ...patch,
});
const rollout = (patch: Partial<Rollout> = {}): Rollout => ({
  id: "r",
  status: "running",
  started_ns: 0,
  namespaces: ["shop"],
  to: "enforce",
  step: 2,
  step_ns: 0,
  realised_ns: 0,
  watched_s: 60,
  hold_s: 120,
  steps: ["audit 1", "audit all", "enforce 1", "enforce all"].map((name) => ({
    name,
    mode: "audit",
    namespaces: ["shop"],
    nodes: null,
    state: "waiting",
  })),
  cells: [],
  stops: [],
  not_seen_before: [],
  events: [],
  trouble: null,
  ...patch,
});

test("the matrix shows what each node does, exceptions included", () => {
  const mixed = [{ node: "b", mode: "enforce" as const }];
  const found = matrix(
    status({
      namespaces: [
        entry("shop", "ingress", { mode: "audit", nodes: mixed, in_force: 3 }),
        entry("shop", "egress", { mode: "off" }),
        entry("bank", "ingress"),
        entry("bank", "egress"),
      ],
    }),
  );
  expect(found.nodes).toEqual(["a", "b"]);
  expect(found.rows.map(({ namespace }) => namespace)).toEqual(["bank", "shop", "*"]);
  const shop = found.rows[1];
  expect(shop?.cells.map(cellText)).toEqual(["ingress audit, egress off", "ingress enforce, egress off"]);
  expect(shop && rowText(shop)).toBe("ingress enforce, egress off on 1 of 2 nodes");
  expect(found.rows[0] && rowText(found.rows[0])).toBe("off");
  expect(shop?.cells.map(strictest)).toEqual(["audit", "enforce"]);
  expect(shop).toMatchObject({ inForce: "3 of 4 pods", complete: false });
  expect(found.rows[0]).toMatchObject({ inForce: null });
});

test("what is asked and what is in force are two things", () => {
  expect(summary(status()).text).toBe("Enforcement is off everywhere.");
  const on = [entry("shop", "ingress", { mode: "enforce" }), entry("bank", "egress", { mode: "audit" })];
  expect(summary(status({ namespaces: on }))).toEqual({
    text: "1 namespace on enforce, 1 namespace on audit; in force on every node.",
    tone: "good",
  });
  const late = node("b", { realised_version: 11 });
  expect(summary(status({ namespaces: on, nodes: [node("a"), late] })).text).toMatch(/waiting for b\.$/);
  expect(isLate(late)).toBe(true);
  expect(isLate(node("c", { realised_version: 0, sides: 0 }))).toBe(false);
});

test("a node says why it is behind", () => {
  expect(nodeTrouble(node("a"))).toBeNull();
  expect(nodeTrouble(node("a", { told_ns: null, realised_version: 0 }))).toMatch(/--enforce/);
  const missing = { uid: "u", namespace: "shop", name: "ui-1", direction: "egress" as const, reason: "no backend" };
  expect(nodeTrouble(node("a", { missing: [missing, missing] }))).toBe("shop/ui-1 egress: no backend, and 1 more");
  expect(nodeTrouble(node("a", { realised_version: 11 }))).toMatch(/on its way/);
  expect(nodeState(node("a"))).toBe("plan 12 in force since 01:00:00 UTC");
  expect(nodeState(node("a", { realised_version: 11 }))).toMatch(/^plan 11 .*, 12 is the newest$/);
  expect(nodeState(node("a", { realised_version: 0 }))).toBe("plan 12, none in force");
});

test("a change says what it does before it is made", () => {
  expect(consequence({ namespace: "shop", mode: "enforce", direction: null, nodes: null })).toBe(
    "Sets namespace shop to enforce on every node: what policies do not allow is dropped.",
  );
  expect(consequence({ namespace: "*", mode: "audit", direction: "egress", nodes: ["a"] })).toMatch(
    /^Sets egress of every namespace without a mode of its own to audit on a: /,
  );
});

test("a rollout says where it is, and what may be done", () => {
  expect(progressText(rollout())).toBe("Step 2 of 4: audit all; watched 1 min of 2 min");
  expect(progressText(rollout({ watched_s: null }))).toMatch(/waiting until it is in force/);
  expect(progressText(rollout({ status: "stopped", watched_s: null }))).toBe("Step 2 of 4: audit all");
  expect(progressText(rollout({ step: 0 }))).toBe("No step is in force");
  expect([progress(rollout()), progress(rollout({ status: "done" })), progress(rollout({ step: 0 }))]).toEqual([
    0.375, 1, 0,
  ]);
  expect([null, rollout(), rollout({ status: "stopped" }), rollout({ status: "done" })].map(actions)).toEqual([
    ["start"],
    ["pause", "abort"],
    ["resume", "abort"],
    ["start"],
  ]);
});

test("what a gate found is one line", () => {
  const text = rolloutFlowText({
    src: "shop/ui",
    dst: "shop/db",
    protocol: "TCP",
    dst_port: 5432,
    reason: "NetworkPolicy shop/db ingress isolation",
    denied_packets: 0,
    would_deny_packets: 3,
    connections: 1,
    cells: [],
    seen_connections: 4,
    last_seen_ns: null,
    missing: "",
  });
  expect(text).toBe("shop/ui → shop/db TCP 5432: 3 packets would be denied by NetworkPolicy shop/db ingress isolation");
});

test("of many nodes, those with the same modes everywhere share a column, and none is left out", () => {
  const cell = (name: string, mode: "off" | "audit") => ({ node: name, ingress: mode, egress: mode });
  const nodes = Array.from({ length: 12 }, (_, index) => `n${index}`);
  const row = (namespace: string, audited: number) => ({
    namespace,
    cells: nodes.map((name, at) => cell(name, at < audited ? "audit" : "off")),
    inForce: null,
    complete: true,
  });
  expect(matrixColumns({ nodes, rows: [row("a", 0), row("b", 12)] }).map(({ title }) => title)).toEqual([
    "all 12 nodes",
  ]);
  const columns = matrixColumns({ nodes, rows: [row("a", 1), row("b", 3)] });
  expect(columns.map(({ title }) => title)).toEqual(["n0", "2 nodes", "9 nodes"]);
  expect(columns.flatMap(({ nodes: members }) => members).sort()).toEqual([...nodes].sort());
  expect(matrixColumns({ nodes: ["x", "y"], rows: [] }).map(({ title }) => title)).toEqual(["x", "y"]);
});
