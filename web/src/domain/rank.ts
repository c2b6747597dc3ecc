/** Columns for a directed graph: who calls stands left of who is called, cycles broken the same way every time. */

export interface Arc {
  source: string;
  target: string;
  weight: number;
}

/** One arc per pair, in the direction that is heavier; loops dropped. */
export function dominant(arcs: readonly Arc[]): Arc[] {
  const pairs = new Map<string, Arc>();
  for (const { source, target, weight } of arcs) {
    if (source === target) continue;
    const forward = source < target;
    const key = forward ? `${source}\n${target}` : `${target}\n${source}`;
    const pair = pairs.get(key) ?? { source: forward ? source : target, target: forward ? target : source, weight: 0 };
    pair.weight += forward ? weight : -weight;
    pairs.set(key, pair);
  }
  return [...pairs.values()].map((pair) =>
    pair.weight >= 0 ? pair : { source: pair.target, target: pair.source, weight: -pair.weight },
  );
}

/** Depth-first order without the arcs that close a cycle: callers first. */
function acyclic(
  ids: readonly string[],
  out: ReadonlyMap<string, string[]>,
): { order: string[]; kept: Map<string, string[]> } {
  const state = new Map<string, "open" | "done">();
  const kept = new Map<string, string[]>();
  const order: string[] = [];
  const visit = (id: string): void => {
    state.set(id, "open");
    const next: string[] = [];
    for (const target of out.get(id) ?? []) {
      if (state.get(target) === "open") continue;
      next.push(target);
      if (!state.has(target)) visit(target);
    }
    kept.set(id, next);
    state.set(id, "done");
    order.push(id);
  };
  for (const id of ids) if (!state.has(id)) visit(id);
  return { order: order.reverse(), kept };
}

/** The column of each id, from 0; a caller stands as close to what it calls as it can. */
export function rank(ids: readonly string[], arcs: readonly Arc[]): Map<string, number> {
  const out = new Map<string, string[]>();
  const balance = new Map<string, number>();
  for (const { source, target } of dominant(arcs)) {
    out.set(source, [...(out.get(source) ?? []), target]);
    balance.set(source, (balance.get(source) ?? 0) + 1);
    balance.set(target, (balance.get(target) ?? 0) - 1);
  }
  for (const targets of out.values()) targets.sort();
  const callersFirst = [...ids].sort((a, b) => (balance.get(b) ?? 0) - (balance.get(a) ?? 0) || (a < b ? -1 : 1));
  const { order, kept } = acyclic(callersFirst, out);
  const column = new Map(ids.map((id) => [id, 0]));
  for (const id of order)
    for (const target of kept.get(id) ?? [])
      column.set(target, Math.max(column.get(target) ?? 0, (column.get(id) ?? 0) + 1));
  const called = new Set([...kept.values()].flat());
  for (const id of order) {
    const targets = (kept.get(id) ?? []).map((target) => column.get(target) ?? 0);
    if (targets.length && !called.has(id)) column.set(id, Math.min(...targets) - 1);
  }
  return column;
}

/** Orders each column by the mean place of its neighbours, a few sweeps to and fro, to keep arcs from crossing. */
export function untangle(columns: string[][], arcs: readonly Arc[], sweeps = 6): string[][] {
  const neighbours = new Map<string, string[]>();
  for (const { source, target } of arcs) {
    neighbours.set(source, [...(neighbours.get(source) ?? []), target]);
    neighbours.set(target, [...(neighbours.get(target) ?? []), source]);
  }
  const place = new Map<string, number>();
  const seat = (column: readonly string[]): void =>
    column.forEach((id, index) => place.set(id, (index + 0.5) / column.length));
  const result = columns.map((column) => [...column].sort());
  result.forEach(seat);
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    const walk = sweep % 2 === 0 ? result : [...result].reverse();
    for (const column of walk) {
      const mean = new Map(
        column.map((id) => {
          const around = (neighbours.get(id) ?? []).map((other) => place.get(other)).filter((at) => at != null);
          return [id, around.length ? around.reduce((sum, at) => sum + at, 0) / around.length : (place.get(id) ?? 0.5)];
        }),
      );
      column.sort((a, b) => (mean.get(a) ?? 0) - (mean.get(b) ?? 0) || (a < b ? -1 : 1));
      seat(column);
    }
  }
  return result;
}
