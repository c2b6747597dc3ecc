/** Who calls nearly everybody: a metrics scraper or a scanner. Their edges are many, alike, and seldom the point. */
import type { ServiceMap } from "../api/types";

/** In a small cluster one workload may well call all others. */
const LEAST_CALLED = 12;
const SHARE = 0.5;

/** Ids of workloads (or pods) that call at least half of all others. */
export function fanouts(map: Pick<ServiceMap, "nodes" | "edges">): Set<string> {
  const own = new Set(map.nodes.filter(({ kind }) => kind === "workload" || kind === "pod").map(({ id }) => id));
  const called = new Map<string, Set<string>>();
  for (const { source, target, dst_port: port } of map.edges) {
    if (port === 53 || source === target || !own.has(source) || !own.has(target)) continue;
    const targets = called.get(source) ?? new Set<string>();
    called.set(source, targets.add(target));
  }
  const enough = Math.max(LEAST_CALLED, (own.size - 1) * SHARE);
  return new Set([...called].filter(([, targets]) => targets.size >= enough).map(([id]) => id));
}
