/** How an edge's connections fared: figures, and why one is not known. */
import type { Coverage, MapEdge } from "../api/types";
import type { Cell } from "./cell";
import { count, microseconds, UNKNOWN } from "./format";
import { hookReason } from "./hooks";

interface Figure {
  name: string;
  hook: string;
  value: number | null | undefined;
  format: (value: number) => string;
}

function figures(edge: MapEdge): Figure[] {
  const tcp = (name: string, value: number | null | undefined, format: (value: number) => string = count): Figure => ({
    name,
    hook: "sock_ops",
    value,
    format,
  });
  return [
    tcp("Round trip, median", edge.rtt_p50_us, microseconds),
    tcp("Round trip, 99th percentile", edge.rtt_p99_us, microseconds),
    tcp("Round trip, least", edge.rtt_min_us, microseconds),
    tcp("Time to connect", edge.connect_mean_us, microseconds),
    tcp("Sent again", edge.retransmits),
    tcp("Retransmission timeouts", edge.rtos),
    tcp("Resets", edge.resets),
    tcp("Failed to connect", edge.connection_failures),
    { name: "Packets dropped", hook: "drops", value: edge.drops, format: count },
  ];
}

/** Name and value of every health figure of an edge; a dash with its reason where it is not known. */
export function health(edge: MapEdge, coverage: Coverage): { name: string; cell: Cell }[] {
  return figures(edge).map(({ name, hook, value, format }) => {
    if (value != null) return { name, cell: { text: format(value), why: null } };
    const other =
      edge.protocol === "TCP" ? "Nothing was measured in this range." : `${edge.protocol} does not tell it.`;
    const why = hook === "sock_ops" && edge.protocol !== "TCP" ? other : (hookReason(coverage, hook) ?? other);
    return { name, cell: { text: UNKNOWN, why } };
  });
}

/** The name by which the target was looked up. */
export function lookedUp(edge: MapEdge, coverage: Coverage): Cell {
  if (edge.dst_dns_name) return { text: edge.dst_dns_name, why: null };
  return { text: UNKNOWN, why: hookReason(coverage, "dns") ?? "No lookup of this address was seen." };
}
