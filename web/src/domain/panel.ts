/** The figures of an edge as the side panel shows them. */
import type { MapEdge } from "../api/types";
import { bytes, byteRate, count, perSecond } from "./format";

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
