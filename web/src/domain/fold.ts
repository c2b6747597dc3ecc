/** Joins neighbouring columns so that the whole costs least. */

/**
 * `columns` in their order, joined into `count` (1 to their number) such that the sum of `cost` over the joined columns
 * is smallest; by dynamic programming over where the cuts are.
 */
export function fold(
  columns: readonly string[][],
  count: number,
  cost: (joined: readonly string[]) => number,
): string[][] {
  const n = columns.length;
  if (count >= n) return columns.map((column) => [...column]);
  const joined = (from: number, to: number): string[] => columns.slice(from, to).flat();
  const price = new Map<number, number>();
  const priceOf = (from: number, to: number): number => {
    const key = from * (n + 1) + to;
    const known = price.get(key) ?? cost(joined(from, to));
    price.set(key, known);
    return known;
  };
  let best = Array.from({ length: n + 1 }, (_, end) => ({ total: end === 0 ? 0 : Infinity, cuts: [] as number[] }));
  for (let parts = 1; parts <= count; parts += 1)
    best = best.map((_, end) => {
      let found = { total: Infinity, cuts: [] as number[] };
      for (let start = parts - 1; start < end; start += 1) {
        const before = best[start];
        if (!before || before.total === Infinity) continue;
        const total = before.total + priceOf(start, end);
        if (total < found.total) found = { total, cuts: [...before.cuts, end] };
      }
      return found;
    });
  const cuts = best[n]?.cuts ?? [n];
  return cuts.map((end, index) => joined(index === 0 ? 0 : (cuts[index - 1] ?? 0), end));
}
