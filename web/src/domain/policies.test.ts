import { expect, test } from "vitest";
import type { PolicyDenied } from "../api/types";
import { mapEdge, policyEdge, policyEffect, policyReplay, serviceMap } from "./factories";
import { buildGraph } from "./graph";
import { interpret } from "./keys";
import {
  command,
  effectText,
  judged,
  judgements,
  overlayText,
  reasonText,
  replayNotes,
  replayText,
  unusedText,
} from "./policies";

const denied: PolicyDenied = {
  src: "a/x[Deployment]",
  dst: "b/y[Deployment]",
  protocol: "TCP",
  dst_port: 8080,
  connections: 7,
  reason: "isolated",
  missing_rule: "",
};
const map = serviceMap([mapEdge("a/x", "b/y"), mapEdge("a/x", "b/z"), mapEdge("a/x", "b/quiet")]);
const options = { hide: [], top: 100 } as const;

test("the answer to whether anything breaks comes first", () => {
  expect(replayText(policyReplay())).toBe("None of 12,345 recorded flows (321 distinct) would be denied.");
  expect(replayText(policyReplay({ denied: [denied] }))).toMatch(
    /^7 connections of 1 pair would be denied, of 12,345 /,
  );
});

test("what else a replay found is said, and nothing where there is nothing", () => {
  expect(replayNotes(policyReplay())).toEqual([]);
  expect(replayNotes(policyReplay({ attempts: [denied], skipped: { "it is not known who began": 2 } }))).toEqual([
    "1 attempt that nobody answered would be denied too; nothing breaks",
    "2 not judged: it is not known who began",
  ]);
});

test("an edge that would be denied says so in its label and its name", () => {
  const effects = judgements(policyEffect([policyEdge("a/x", "b/y", { state: "denied" }), policyEdge("a/x", "b/z")]));
  const edges = judged(buildGraph(map, options), effects).edges;
  const by = new Map(edges.map((edge) => [edge.target, edge]));
  expect(by.get("b/y")).toMatchObject({
    policy: "denied",
    label: "✕ TCP 8080",
    name: "x → y TCP 8080 ✕ denied, 1 kB",
  });
  expect(by.get("b/z")).toMatchObject({ policy: "allowed", label: "TCP 8080" });
  expect(by.get("b/quiet")?.policy).toBeNull();
});

test("the worst of the connections behind a folded edge speaks for it", () => {
  const effects = judgements(policyEffect([policyEdge("a/x", "b/y", { state: "denied" }), policyEdge("a/x", "b/z")]));
  const folded = judged(buildGraph(map, { hide: [], top: 1 }), effects).edges;
  expect(folded.map((edge) => [edge.members.length, edge.policy])).toEqual([[3, "denied"]]);
});

test("a set of policies is summed up above the map", () => {
  const one = policyEffect([policyEdge("a/x", "b/y", { state: "denied" }), policyEdge("a/x", "b/z")]);
  expect(overlayText(one, "generated")).toBe(
    "With the generated policies, 1 of 2 recorded edges would be denied; 0 permissions unused.",
  );
  expect(overlayText({ ...one, policies: 0 }, "current")).toBe("No policies are in force: everything is allowed.");
  expect(effectText(undefined)).toBe("? No record of it can be judged");
});

test("the command does the same as the page", () => {
  expect(command({ window: "1h" }, "shop", true)).toBe(
    "eastwest policy generate --window 1h --namespace shop -o policies/ --accept-gaps",
  );
});

test("g p goes to the policies", () => {
  expect(interpret({ key: "p", modified: false, typing: false }, "g").command).toBe("policies");
});

test("a permission beyond what was seen says why in words", () => {
  expect(reasonText("dns-tcp")).toBe("DNS over TCP, beside the UDP that was seen");
  expect(reasonText("something new")).toBe("something new");
  const unused = { policy: "ui/ui", direction: "egress", rule: 3, port: "TCP 53", reason: "dns-tcp" } as const;
  expect(unusedText(unused)).toBe("ui/ui egress rule 3, TCP 53: DNS over TCP, beside the UDP that was seen");
});
