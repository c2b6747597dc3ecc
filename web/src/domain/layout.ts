/** Where everything stands: namespaces as boxes in columns from callers to called, the same picture for the same graph. */
import { fold } from "./fold";
import { rank, untangle, type Arc } from "./rank";

export interface Box {
  id: string;
  group: string;
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

interface Unit {
  id: string;
  width: number;
  height: number;
  inside: Map<string, Point>;
}

export type Positions = Map<string, Point>;

/** Which way callers to called go inside a namespace; between namespaces it is always to the right. */
type Flow = "right" | "down";

const GAP = { row: 28, column: 100, layer: 56, unitRow: 64, unitColumn: 90 } as const;
const PADDING = 24;
/** Joining ranks costs clearness: it must make the picture that much larger to be worth it. Less so where nothing could be read. */
const FOLDING_COST = { least: 0.2, most: 0.6 } as const;
/** Drawn at 0.85 of full size in a window 720 pixels high, everything can be read; larger is no better. */
const LEGIBLE = 0.85 / 720;

function columnsOf(ids: readonly string[], column: ReadonlyMap<string, number>): string[][] {
  const least = Math.min(...ids.map((id) => column.get(id) ?? 0));
  const result: string[][] = [];
  for (const id of ids) (result[(column.get(id) ?? 0) - least] ??= []).push(id);
  return result.map((entry) => entry ?? []).filter((entry) => entry.length > 0);
}

/** Splits columns that are taller than `most`, keeping their order. */
function wrap(columns: readonly string[][], heightOf: (id: string) => number, most: number): string[][] {
  return columns.flatMap((column) => {
    const pieces: string[][] = [[]];
    let height = 0;
    for (const id of column) {
      if (height > 0 && height + heightOf(id) > most) {
        pieces.push([]);
        height = 0;
      }
      height += heightOf(id);
      pieces.at(-1)?.push(id);
    }
    return pieces;
  });
}

/** Lays `layers` side by side (`right`) or below each other (`down`), each centred; the top left corner at the origin. */
function stack(
  id: string,
  layers: readonly string[][],
  byId: ReadonlyMap<string, Box>,
  flow: Flow,
  linked: boolean,
): Unit {
  const down = flow === "down";
  const along = (box: string): number => (down ? byId.get(box)?.height : byId.get(box)?.width) ?? 0;
  const across = (box: string): number => (down ? byId.get(box)?.width : byId.get(box)?.height) ?? 0;
  const gap = !linked ? GAP.row : down ? GAP.layer : GAP.column;
  const beside = down ? GAP.row + 8 : GAP.row;
  const spans = layers.map((layer) => layer.reduce((sum, box) => sum + across(box) + beside, -beside));
  const span = Math.max(...spans);
  const inside: Positions = new Map();
  let main = 0;
  layers.forEach((layer, index) => {
    const thickness = Math.max(...layer.map(along));
    let cross = (span - (spans[index] ?? 0)) / 2;
    for (const box of layer) {
      const [m, c] = [PADDING + main + thickness / 2, PADDING + cross + across(box) / 2];
      inside.set(box, down ? { x: c, y: m } : { x: m, y: c });
      cross += across(box) + beside;
    }
    main += thickness + gap;
  });
  const [length, breadth] = [main - gap + 2 * PADDING, span + 2 * PADDING];
  return down ? { id, width: breadth, height: length, inside } : { id, width: length, height: breadth, inside };
}

/** The inside of one namespace. */
function arrangeUnit(
  id: string,
  boxes: readonly Box[],
  arcs: readonly Arc[],
  order: ReadonlyMap<string, number>,
  flow: Flow,
): Unit {
  const ids = boxes.map((box) => box.id);
  const byId = new Map(boxes.map((box) => [box.id, box]));
  const own = arcs.filter((arc) => byId.has(arc.source) && byId.has(arc.target));
  const byOrder = (a: string, b: string): number => (order.get(a) ?? 0) - (order.get(b) ?? 0) || (a < b ? -1 : 1);
  const layers = columnsOf(ids, rank(ids, own));
  const few = Math.min(layers.length, Math.ceil(Math.sqrt(boxes.length) * 1.5) + 1);
  const tidy = untangle(
    fold(layers, few, (joined) => joined.length ** 2),
    own,
  ).map((layer) => (own.length ? layer : layer.sort(byOrder)));
  if (own.length === 0 && boxes.length < 4) return stack(id, tidy, byId, "right", false);
  const most =
    flow === "down"
      ? Math.max(3, Math.ceil(Math.sqrt(boxes.length)))
      : Math.max(5, Math.ceil(Math.sqrt(boxes.length) * 1.4));
  return stack(
    id,
    wrap(tidy, () => 1, most),
    byId,
    flow,
    own.length > 0,
  );
}

function unitArcs(arcs: readonly Arc[], groupOf: ReadonlyMap<string, string>): Arc[] {
  return arcs.flatMap((arc) => {
    const [source, target] = [groupOf.get(arc.source), groupOf.get(arc.target)];
    return source && target && source !== target ? [{ source, target, weight: arc.weight }] : [];
  });
}

/** How large the picture can be drawn in a window of `aspect` (width / height); larger is better. */
function scale(positions: Positions, aspect: number): number {
  const [xs, ys] = [[...positions.values()].map(({ x }) => x), [...positions.values()].map(({ y }) => y)];
  const width = Math.max(...xs) - Math.min(...xs) + 200;
  const height = Math.max(...ys) - Math.min(...ys) + 120;
  return Math.min(aspect / width, 1 / height);
}

/**
 * Centres for all boxes, in the variant that fills a window of `aspect` best; callers stand left of called, in a tall
 * window above them. Deterministic: no randomness, no dependence on the order of input.
 */
export function arrange(boxes: readonly Box[], edges: readonly Arc[], aspect = 1.5): Positions {
  if (aspect < 1) {
    const turned = arrange(
      boxes.map((box) => ({ ...box, width: box.height, height: box.width })),
      edges,
      1 / aspect,
    );
    return new Map([...turned].map(([id, { x, y }]) => [id, { x: y, y: x }]));
  }
  let best: { positions: Positions; score: number } = { positions: new Map(), score: -1 };
  if (boxes.length === 0) return best.positions;
  let legible = 0;
  for (const flow of ["down", "right"] as const)
    for (const { positions, folded } of variants(flow, boxes, edges, aspect)) {
      const size = Math.min(scale(positions, aspect), LEGIBLE);
      if (folded === 0) legible = Math.max(legible, size / LEGIBLE);
      const cost = FOLDING_COST.least + (FOLDING_COST.most - FOLDING_COST.least) * legible ** 2;
      const score = size * (1 - cost * folded);
      if (score > best.score) best = { positions, score };
    }
  return best.positions;
}

/** The picture with all its columns, and with ranks folded together into fewer and fewer. */
function* variants(
  flow: Flow,
  boxes: readonly Box[],
  edges: readonly Arc[],
  aspect: number,
): Generator<{ positions: Positions; folded: number }> {
  const sorted = [...boxes].sort((a, b) => (a.id < b.id ? -1 : 1));
  const groupOf = new Map(sorted.map((box) => [box.id, box.group]));
  const members = new Map<string, Box[]>();
  for (const box of sorted) members.set(box.group, [...(members.get(box.group) ?? []), box]);
  const ids = [...members.keys()].sort();
  const between = unitArcs(edges, groupOf);
  const columnOf = rank(ids, between);
  const whole = columnsOf(ids, columnOf);
  const near = neighbourOrder(edges, groupOf, new Map(whole.flat().map((id, index) => [id, index])));
  const units = new Map(ids.map((id) => [id, arrangeUnit(id, members.get(id) ?? [], edges, near, flow)]));
  const area = [...units.values()].reduce(
    (sum, unit) => sum + (unit.width + GAP.unitColumn) * (unit.height + GAP.unitRow),
    0,
  );
  const tallest = Math.max(...[...units.values()].map((unit) => unit.height));
  const most = Math.max(tallest + GAP.unitRow, Math.sqrt(area / aspect) * 1.2);
  const cost = (joined: readonly string[]): number => {
    const inside = joined.flatMap((id) => units.get(id) ?? []);
    const height = inside.reduce((sum, unit) => sum + unit.height + GAP.unitRow, 0);
    return (Math.max(...inside.map((unit) => unit.width)) + GAP.unitColumn) * Math.ceil(height / most);
  };
  for (let count = whole.length; count > 0; count -= 1) {
    const columns = untangle(fold(whole, count, cost), between);
    const wrapped = wrap(columns, (id) => (units.get(id)?.height ?? 0) + GAP.unitRow, most);
    yield { positions: placeUnits(wrapped, units), folded: 1 - count / whole.length };
  }
}

/** For boxes without arcs inside their namespace: stand near the namespaces they talk to. */
function neighbourOrder(
  edges: readonly Arc[],
  groupOf: ReadonlyMap<string, string>,
  order: ReadonlyMap<string, number>,
): Map<string, number> {
  const sums = new Map<string, { sum: number; n: number }>();
  const add = (id: string, other: string): void => {
    const entry = sums.get(id) ?? { sum: 0, n: 0 };
    sums.set(id, { sum: entry.sum + (order.get(groupOf.get(other) ?? "") ?? 0), n: entry.n + 1 });
  };
  for (const { source, target } of edges) {
    add(source, target);
    add(target, source);
  }
  return new Map([...sums].map(([id, { sum, n }]) => [id, sum / n]));
}

function placeUnits(columns: readonly string[][], units: ReadonlyMap<string, Unit>): Positions {
  const positions: Positions = new Map();
  let x = 0;
  for (const column of columns) {
    const inColumn = column.flatMap((id) => units.get(id) ?? []);
    const width = Math.max(...inColumn.map((unit) => unit.width));
    let y = -inColumn.reduce((sum, unit) => sum + unit.height + GAP.unitRow, -GAP.unitRow) / 2;
    for (const unit of inColumn) {
      const left = x + (width - unit.width) / 2;
      for (const [id, point] of unit.inside) positions.set(id, { x: left + point.x, y: y + point.y });
      y += unit.height + GAP.unitRow;
    }
    x += width + GAP.unitColumn;
  }
  return positions;
}
