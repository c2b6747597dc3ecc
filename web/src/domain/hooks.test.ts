import { expect, test } from "vitest";
import { coverage, nodeCoverage } from "./factories";
import { hookReason } from "./hooks";

const refused = { name: "sock_ops", state: "refused" as const, reason: "EPERM" };
const nodes = [
  nodeCoverage("a", { hooks: [refused] }),
  nodeCoverage("b", { hooks: [{ name: "sock_ops", state: "on" }] }),
  nodeCoverage("c", { hooks: [refused, { name: "drops", state: "off" }] }),
  nodeCoverage("d", { hooks: [{ name: "sock_ops", state: "off" }] }),
];

test("every node without the hook is named, those with one reason together", () => {
  expect(hookReason(coverage({ nodes }), "sock_ops")).toBe(
    "The hook sock_ops is not on everywhere. a, c: refused (EPERM); d: off.",
  );
});

test("only nodes that can have given the figure are blamed", () => {
  expect(hookReason(coverage({ nodes }), "sock_ops", ["b"])).toBeNull();
  expect(hookReason(coverage({ nodes }), "drops", ["c", null])).toBe("The hook drops is not on everywhere. c: off.");
});
