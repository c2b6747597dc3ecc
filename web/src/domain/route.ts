/** Bends edges around the boxes they would otherwise run behind, and keeps parallel ones apart. */
import type { Box, Point, Positions } from "./layout";
import type { Arc } from "./rank";

export interface RoutedArc extends Arc {
  id: string;
}

const MOST_EDGES = 500;
const STEPS = 16;
const CLEARANCE = 8;
const PARALLEL = 46;

/** A point of the quadratic curve whose control point stands `bend` beside the middle of the chord. */
function along(from: Point, to: Point, bend: number, t: number): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const control = {
    x: (from.x + to.x) / 2 - ((to.y - from.y) / length) * bend,
    y: (from.y + to.y) / 2 + ((to.x - from.x) / length) * bend,
  };
  const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
  return { x: a * from.x + b * control.x + c * to.x, y: a * from.y + b * control.y + c * to.y };
}

interface Obstacle {
  id: string;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function hits(from: Point, to: Point, bend: number, obstacles: readonly Obstacle[]): number {
  let hit = 0;
  for (let step = 1; step < STEPS; step += 1) {
    const { x, y } = along(from, to, bend, step / STEPS);
    if (obstacles.some((box) => x > box.left && x < box.right && y > box.top && y < box.bottom)) hit += 1;
  }
  return hit;
}

function obstaclesOf(boxes: readonly Box[], positions: Positions): Obstacle[] {
  return boxes.flatMap(({ id, width, height }) => {
    const at = positions.get(id);
    if (!at) return [];
    const [w, h] = [width / 2 + CLEARANCE, height / 2 + CLEARANCE];
    return [{ id, left: at.x - w, right: at.x + w, top: at.y - h, bottom: at.y + h }];
  });
}

/** Parallel edges fan out: the first straight, the others to both sides. */
function fan(arcs: readonly RoutedArc[]): Map<string, number> {
  const pairs = new Map<string, RoutedArc[]>();
  for (const arc of arcs) {
    const key = [arc.source, arc.target].sort().join("\n");
    pairs.set(key, [...(pairs.get(key) ?? []), arc]);
  }
  const bends = new Map<string, number>();
  for (const pair of pairs.values())
    pair
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .forEach((arc, index) =>
        bends.set(arc.id, (index - (pair.length - 1) / 2) * PARALLEL * (arc.source < arc.target ? 1 : -1)),
      );
  return bends;
}

/** For each edge how far its control point stands from the chord, positive to the right of its direction on screen. */
export function route(boxes: readonly Box[], arcs: readonly RoutedArc[], positions: Positions): Map<string, number> {
  const bends = fan(arcs);
  if (arcs.length > MOST_EDGES) return bends;
  const all = obstaclesOf(boxes, positions);
  for (const arc of arcs) {
    const [from, to] = [positions.get(arc.source), positions.get(arc.target)];
    if (!from || !to || arc.source === arc.target) continue;
    const obstacles = all.filter(({ id }) => id !== arc.source && id !== arc.target);
    const own = bends.get(arc.id) ?? 0;
    let best = { bend: own, hits: hits(from, to, own, obstacles) };
    for (const more of [50, -50, 100, -100, 160, -160, 230, -230, 310, -310]) {
      if (best.hits === 0) break;
      const found = hits(from, to, own + more, obstacles);
      if (found < best.hits) best = { bend: own + more, hits: found };
    }
    bends.set(arc.id, best.bend);
  }
  return bends;
}
