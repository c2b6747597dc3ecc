import { expect, test } from "vitest";
import type { HistoryPoint } from "../api/types";
import { stepsOf, summaryOf } from "./history";

const SECOND = 1e9;
function point(at: number, length: number, values: Partial<HistoryPoint> = {}): HistoryPoint {
  return {
    start_ns: at * SECOND,
    end_ns: (at + length) * SECOND,
    watched: true,
    edges: 1,
    bytes: 0,
    connections: 0,
    connections_established: 0,
    connection_failures: null,
    resets: null,
    retransmits: null,
    rtos: null,
    drops: null,
    policy_denied: null,
    policy_would_deny: null,
    denied_edges: 0,
    ...values,
  };
}

test("heights are rates: a short outer step with the same rate is as high", () => {
  const steps = stepsOf([
    point(0, 10, { bytes: 1000 }),
    point(10, 60, { bytes: 6000 }),
    point(70, 60, { bytes: 3000 }),
  ]);
  expect(steps.map(({ height }) => height)).toEqual([1, 1, 0.5]);
});

test("what nobody watched has no height and says so, and is not zero", () => {
  const [step] = stepsOf([point(0, 60, { watched: false, bytes: null, edges: null })]);
  expect(step).toMatchObject({ height: null, trouble: null });
  expect(step?.text).toContain("no agent reported");
  expect(summaryOf([point(0, 60, { watched: false, bytes: null })])).toBe("No agent reported in this range.");
});

test("denied packets come before retransmissions", () => {
  const points = [
    point(0, 60, { bytes: 60, policy_denied: 2, retransmits: 5 }),
    point(60, 60, { bytes: 6, retransmits: 1 }),
  ];
  expect(stepsOf(points).map(({ trouble }) => trouble)).toEqual(["denied", "failing"]);
  expect(stepsOf(points)[0]?.text).toContain("2 packets denied");
  expect(summaryOf(points)).toContain("denied in 1 step");
});
