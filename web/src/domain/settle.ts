/** Keeps the picture still while data comes and goes: what is drawn stays where it is, newcomers take free ground. */
import { arrange, type Box, type Positions } from "./layout";
import type { Arc } from "./rank";

const MARGIN = 24;

function overlaps(a: { x: number; y: number }, box: Box, b: { x: number; y: number }, other: Box): boolean {
  return (
    Math.abs(a.x - b.x) < (box.width + other.width) / 2 + MARGIN &&
    Math.abs(a.y - b.y) < (box.height + other.height) / 2 + MARGIN
  );
}

/** Positions for `boxes`: those in `before` unchanged; starts afresh when most of the picture is new. */
export function settle(boxes: readonly Box[], edges: readonly Arc[], before: Positions, aspect = 1.5): Positions {
  const known = boxes.filter((box) => before.has(box.id));
  if (known.length === boxes.length) return new Map(before);
  const fresh = arrange(boxes, edges, aspect);
  if (known.length * 2 <= boxes.length) return fresh;
  const settled: Positions = new Map(before);
  const placed = new Map(known.map((box) => [box.id, box]));
  for (const box of boxes) {
    if (settled.has(box.id)) continue;
    const mates = known.filter((other) => other.group === box.group).flatMap((other) => settled.get(other.id) ?? []);
    const wanted = fresh.get(box.id) ?? { x: 0, y: 0 };
    const point = mates[0]
      ? { x: mates[0].x, y: Math.max(...mates.map((mate) => mate.y)) + box.height + MARGIN }
      : { ...wanted };
    for (let tries = 0; tries < 200; tries += 1) {
      if (![...placed.values()].some((other) => overlaps(point, box, settled.get(other.id) ?? wanted, other))) break;
      point.y += box.height / 2;
    }
    settled.set(box.id, point);
    placed.set(box.id, box);
  }
  return settled;
}
