import { expect, test } from "vitest";
import { amount, costCell, pricesText } from "./cost";
import { mapEdge, serviceMap } from "./factories";
import { buildGraph } from "./graph";
import { deciders, missingLines, packetsText, verdictCell, worst } from "./verdict";

const denied = mapEdge("shop/ui", "shop/db", {
  verdict: "denied",
  policy_allowed: 4,
  policy_denied: 3,
  policy_would_deny: 0,
  egress_allowed_by: "NetworkPolicy shop/ui egress[0]",
  ingress_denied_by: "NetworkPolicy shop/db ingress isolation",
  missing: "ingress of shop/db from shop/ui TCP 8080",
});

test("a denial says at which end, by whom, and what is missing", () => {
  expect(verdictCell(denied)).toEqual({
    text: "✕ denied",
    why: null,
    note: "NetworkPolicy shop/db ingress isolation",
  });
  expect(deciders(denied)).toEqual([{ end: "ingress", denied: true, by: "NetworkPolicy shop/db ingress isolation" }]);
  expect(packetsText(denied)).toBe("4 allowed, 3 denied");
  expect(missingLines(denied)).toEqual(["ingress of shop/db from shop/ui TCP 8080"]);
});

test("what was allowed names who allowed, and undecided is not allowed", () => {
  const allowed = mapEdge("a/b", "c/d", { verdict: "allowed", egress_allowed_by: "Posture egress" });
  expect(deciders(allowed)).toEqual([{ end: "egress", denied: false, by: "Posture egress" }]);
  expect(verdictCell(mapEdge("a/b", "c/d"))).toMatchObject({ text: "–" });
  expect(verdictCell(mapEdge("a/b", "c/d")).why).toMatch(/^No end decided/);
  expect(packetsText(mapEdge("a/b", "c/d"))).toBe("none");
});

test("the worst verdict stands for several", () => {
  expect(worst([null, "allowed", "would_deny"])).toBe("would_deny");
  expect(worst(["partly", "denied"])).toBe("denied");
  expect(worst([null, undefined])).toBeNull();
});

test("an edge of the map carries its verdict in label and name, not in its style alone", () => {
  const graph = buildGraph(serviceMap([denied, mapEdge("shop/ui", "shop/api", { verdict: "would_deny" })]), {
    hide: [],
    top: 100,
  });
  const [first, second] = [...graph.edges].sort((a, b) => (a.target < b.target ? 1 : -1));
  expect(first).toMatchObject({ verdict: "denied", label: "✕ TCP 8080" });
  expect(first?.name).toBe("ui → db TCP 8080 ✕ denied, 1 kB");
  expect(second).toMatchObject({ verdict: "would_deny", label: "△ TCP 8080" });
  expect(second?.name).toMatch(/△ would be denied/);
});

test("amounts say what they leave out and what they rest on", () => {
  expect(costCell({ cost: 0.01234, unpriced_bytes: 0, unpriced_reason: null }, "USD")).toEqual({
    text: "0.0123 USD",
    why: null,
  });
  const part = costCell({ cost: 2, unpriced_bytes: 1000, unpriced_reason: "zone_unknown" });
  expect(part).toEqual({ text: "≥ 2", why: "1 kB of it have no price: a zone is not known." });
  expect(costCell({ cost: null, unpriced_bytes: 5, unpriced_reason: "no_price_table" }).text).toBe("–");
  expect([amount(123.456), amount(0), amount(0.000006)]).toEqual(["123.46", "0", "< 0.0001"]);
  expect(pricesText(null)).toMatch(/no price table/);
  expect(pricesText({ name: "aws", as_of: "2026-01-01", source: "s", currency: "USD" })).toMatch(/of 2026-01-01/);
});
