import { expect, test } from "vitest";
import { arrange, type Box, type Positions } from "./layout";
import { fold } from "./fold";
import { rank } from "./rank";
import { route } from "./route";
import { settle } from "./settle";

const box = (id: string): Box => ({ id, group: id.split("/")[0] ?? "", width: 140, height: 50 });
const arc = (source: string, target: string) => ({ id: `${source}>${target}`, source, target, weight: 1 });
const boxes = ["ui/ui", "catalog/catalog", "catalog/mysql", "orders/orders", "orders/db"].map(box);
const arcs = [
  arc("ui/ui", "catalog/catalog"),
  arc("catalog/catalog", "catalog/mysql"),
  arc("ui/ui", "orders/orders"),
  arc("orders/orders", "orders/db"),
];

function overlapping(positions: Positions, of: readonly Box[]): string[] {
  return of.flatMap((a, index) =>
    of.slice(index + 1).flatMap((b) => {
      const [p, q] = [positions.get(a.id), positions.get(b.id)];
      const apart =
        !p || !q || Math.abs(p.x - q.x) >= (a.width + b.width) / 2 || Math.abs(p.y - q.y) >= (a.height + b.height) / 2;
      return apart ? [] : [`${a.id} ${b.id}`];
    }),
  );
}

test("who calls stands left of who is called, and nothing overlaps", () => {
  const positions = arrange(boxes, arcs);
  const x = (id: string): number => positions.get(id)?.x ?? Number.NaN;
  expect(x("ui/ui")).toBeLessThan(x("catalog/catalog"));
  expect(x("ui/ui")).toBeLessThan(x("orders/orders"));
  expect(overlapping(positions, boxes)).toEqual([]);
});

test("the same graph makes the same picture in whatever order it comes", () => {
  const again = arrange([...boxes].reverse(), [...arcs].reverse());
  expect([...again].sort()).toEqual([...arrange(boxes, arcs)].sort());
});

test("folding joins neighbours where it costs least", () => {
  const columns = [["a"], ["b"], ["c"], ["d"]];
  const dear = (joined: readonly string[]): number =>
    joined.includes("a") && joined.length > 1 ? 100 : joined.length ** 2;
  expect(fold(columns, 2, dear)).toEqual([["a"], ["b", "c", "d"]]);
  expect(fold(columns, 4, dear)).toEqual(columns);
  expect(fold(columns, 1, dear)).toEqual([["a", "b", "c", "d"]]);
});

test("cycles are broken, not followed for ever", () => {
  const columns = rank(["a", "b", "c"], [arc("a", "b"), arc("b", "c"), arc("c", "a")]);
  expect([...columns.values()].sort()).toEqual([0, 1, 2]);
});

test("what is drawn stays; a newcomer joins its namespace without covering anyone", () => {
  const before = arrange(boxes, arcs);
  const more = [...boxes, box("catalog/cache")];
  const after = settle(more, [...arcs, arc("catalog/catalog", "catalog/cache")], before);
  for (const { id } of boxes) expect(after.get(id)).toEqual(before.get(id));
  expect(overlapping(after, more)).toEqual([]);
});

test("who leaves and comes back finds the old place", () => {
  const before = arrange(boxes, arcs);
  const without = settle(boxes.slice(1), arcs, before);
  expect(settle(boxes, arcs, without).get("ui/ui")).toEqual(before.get("ui/ui"));
});

test("an edge bends around the box between its ends; parallel edges part", () => {
  const row = ["a/1", "b/2", "c/3"].map(box);
  const positions: Positions = new Map(row.map(({ id }, index) => [id, { x: index * 300, y: 0 }]));
  const bends = route(row, [arc("a/1", "c/3"), arc("a/1", "b/2"), { ...arc("b/2", "a/1"), id: "back" }], positions);
  expect(Math.abs(bends.get("a/1>c/3") ?? 0)).toBeGreaterThan(30);
  expect(bends.get("a/1>b/2")).toBe(bends.get("back"));
  expect(bends.get("back")).not.toBe(0);
});

test("300 workloads and 2,000 edges are arranged without overlap", () => {
  const many = Array.from({ length: 300 }, (_, index) => box(`team-${index % 25}/s${index}`));
  const lines = Array.from({ length: 2000 }, (_, index) =>
    arc(many[(index * 7) % 300]?.id ?? "", many[(index * 13 + 5) % 300]?.id ?? ""),
  );
  const positions = arrange(many, lines);
  expect(overlapping(positions, many)).toEqual([]);
});
