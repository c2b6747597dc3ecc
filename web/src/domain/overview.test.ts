import { expect, test } from "vitest";
import type { Costs, Overview } from "../api/types";
import { coverage, flowRow, mapEdge, nodeCoverage, serviceMap, window } from "./factories";
import {
  coverageTile,
  crossZoneTile,
  deniedEdges,
  retransmitNote,
  dnsTile,
  flowName,
  outcomesText,
  policyTile,
  retransmitTile,
  shareOf,
  trafficTile,
} from "./overview";

const overview = (patch: Partial<Overview> = {}): Overview => ({
  window: window(),
  edges: 3,
  bytes: 5000,
  connections: 10,
  connections_established: 9,
  connection_failures: null,
  resets: null,
  retransmits: null,
  rtos: null,
  segments: 1000,
  drops: null,
  policy_allowed: null,
  policy_denied: null,
  policy_would_deny: null,
  denied_edges: 0,
  would_deny_edges: 0,
  dns: { lookups: null, errors: null, outcomes: {}, rows: [] },
  ...patch,
});

test("what was not measured is a dash with its reason, never a good figure", () => {
  const hooks = [{ name: "sock_ops", state: "refused" as const, reason: "EPERM", columns: [] }];
  const where = coverage({ nodes: [nodeCoverage("n1", { hooks })] });
  expect(retransmitTile(overview(), where)).toMatchObject({ figure: "–", tone: "unknown" });
  expect(retransmitTile(overview(), where).why).toMatch(/n1: refused \(EPERM\)/);
  expect(dnsTile(overview(), where)).toMatchObject({ figure: "–", tone: "unknown" });
  expect(policyTile(overview())).toMatchObject({ figure: "–", tone: "unknown" });
  expect(coverageTile(coverage({ ratio: null }))).toMatchObject({ figure: "–", tone: "unknown" });
});

test("retransmissions alarm by their share of segments", () => {
  const tone = (retransmits: number): string => retransmitTile(overview({ retransmits }), null).tone;
  expect([tone(0), tone(1), tone(20)]).toEqual(["good", "warn", "bad"]);
  expect(retransmitTile(overview({ retransmits: 5, rtos: 1, resets: 2 }), null).note).toMatch(
    /^0.5 % of segments, 1 timeout, 2 resets/,
  );
});

test("NXDOMAIN alone alarms nobody, servers that fail do", () => {
  const tone = (outcomes: Record<string, number>, errors: number): string =>
    dnsTile(overview({ dns: { lookups: 100, errors, outcomes, rows: [] } }), null).tone;
  expect(tone({ NOERROR: 100 }, 0)).toBe("good");
  expect(tone({ NOERROR: 60, NXDOMAIN: 40 }, 40)).toBe("plain");
  expect(tone({ NOERROR: 98, SERVFAIL: 2 }, 2)).toBe("warn");
  expect(tone({ NOERROR: 80, no_answer: 20 }, 20)).toBe("bad");
  expect(outcomesText({ NOERROR: 9, NXDOMAIN: 1, no_answer: 3 })).toBe("3 no answer, 1 NXDOMAIN");
});

test("denials are counted by edge and packet; audit says what enforcing would break", () => {
  const decided = { policy_allowed: 5, policy_denied: 2, policy_would_deny: 0 };
  expect(policyTile(overview({ ...decided, denied_edges: 1 }))).toMatchObject({ figure: "1 flow", tone: "bad" });
  const audited = policyTile(overview({ ...decided, policy_denied: 0, would_deny_edges: 2 }));
  expect(audited).toMatchObject({ figure: "0 flows", tone: "warn" });
  expect(audited.note).toMatch(/would deny 2 flows/);
});

test("cross-zone bytes are those between zones and regions", () => {
  const group = (name: string, bytes: number) => ({
    name,
    bytes,
    cost: null,
    unpriced_bytes: 0,
    unpriced_reason: null,
  });
  const costs: Costs = {
    window: window(),
    prices: { name: "p", as_of: "2026-01-01", source: "s", currency: "USD" },
    by: "workload",
    bytes: 100,
    cost: 0.5,
    unpriced_bytes: 0,
    unpriced_reason: null,
    categories: [group("inter_zone", 20), group("inter_region", 5), group("intra_zone", 75)],
    zone_pairs: [],
    rows: [],
  };
  expect(crossZoneTile(costs)).toMatchObject({
    figure: "25 B",
    note: "25 % of all bytes; everything cost about 0.5 USD",
  });
  expect(crossZoneTile({ ...costs, cost: null, prices: null }).why).toMatch(/no price table/);
});

test("denied edges are ranked by packets and say who; what was sent again says when", () => {
  const map = serviceMap([mapEdge("a/x", "b/y", { policy_denied: 1 }), mapEdge("a/x", "b/z", { policy_denied: 9 })]);
  expect(deniedEdges(map, 1).map(({ name }) => name)).toEqual(["x → z TCP 8080"]);
  expect(retransmitNote(flowRow({ retransmits_syn: 3, rtos: 1, resets: 0 }))).toBe(
    "3 before established, 1 timeout, 0 resets",
  );
});

test("names and bars", () => {
  expect(flowName(flowRow())).toBe("ui / ui → catalog / catalog TCP 8080");
  expect(flowName(flowRow({ dst_workload: null, dst_pod: null, dst_dns_name: "s3.example" }))).toMatch(/→ s3.example/);
  expect([shareOf(5, 10), shareOf(0, 10), shareOf(0, 0)]).toEqual([0.5, 0.01, 0]);
  expect(trafficTile(overview()).note).toBe("3 flows; 10 connections opened, 9 answered");
});
