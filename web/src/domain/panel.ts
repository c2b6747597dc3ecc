/** The figures of an edge as the side panel shows them. */
import type { MapEdge, ServiceMap } from "../api/types";
import { bytes, byteRate, count, perSecond } from "./format";

/**
 * What rates are averaged over, ns: the range, without the time before anything at all was seen in it (a recording, or
 * agents, shorter than the range).
 */
export function observed(map: ServiceMap): { start_ns: number; end_ns: number } {
  const first = Math.min(...map.edges.map((edge) => edge.first_seen_ns));
  const start_ns = Number.isFinite(first) ? Math.max(map.window.start_ns, first) : map.window.start_ns;
  return { start_ns, end_ns: map.window.end_ns };
}

export interface DirectionFigures {
  direction: "forward" | "reverse";
  bytes: string;
  rate: string;
  packets: string;
  packetRate: string;
  segments: string;
}

export function directions(edge: MapEdge, seconds: number): DirectionFigures[] {
  return (["forward", "reverse"] as const).map((direction) => ({
    direction,
    bytes: bytes(edge[`bytes_${direction}`]),
    rate: byteRate(edge[`bytes_${direction}`], seconds),
    packets: count(edge[`packets_${direction}`]),
    packetRate: perSecond(edge[`packets_${direction}`], seconds),
    segments: count(edge[`segments_${direction}`]),
  }));
}

/** "1,204 opened, 1,200 answered"; without a connection of its own the edge began before the window. */
export function connectionsText(edge: MapEdge): string {
  if (edge.connections === 0) return "none opened in this range: open since before";
  return `${count(edge.connections)} opened, ${count(edge.connections_established)} answered`;
}

const SOURCES: Record<string, string> = {
  handshake: "TCP handshake seen",
  conntrack: "the kernel's connection tracking",
  listener: "a listening socket",
  first_packet: "the first packet seen",
  unknown: "not known: source and destination may be swapped",
};

export const roleSourceText = (source: string): string => SOURCES[source] ?? source;

export const reporterText = (reporter: MapEdge["reporter"]): string =>
  reporter === "unknown" ? "an end whose role is not known" : `the ${reporter}'s node`;
