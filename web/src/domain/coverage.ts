/** The coverage badge: how much of what happened is in the data, never rounded in our favour. */
import type { Coverage, NodeCoverage } from "../api/types";
import { bytes, duration, percent, plural, UNKNOWN } from "./format";

export interface Badge {
  text: string;
  tone: "success" | "warning" | "error" | "stopped";
}

export function badge(coverage: Coverage): Badge {
  const gaps = coverage.sentences.length;
  if (coverage.ratio == null)
    return { text: gaps ? `No reports – ${plural(gaps, "gap")}` : "No reports", tone: "stopped" };
  const ratio = `${percent(coverage.ratio)} accounted`;
  if (coverage.complete && coverage.ratio >= 1) return { text: ratio, tone: "success" };
  const tone = coverage.unexplained_bytes ? "error" : "warning";
  return { text: gaps ? `${percent(coverage.ratio)} – ${plural(gaps, "gap")}` : ratio, tone };
}

/** Declared losses, largest first: "map_full 1.2 MB, buffer 300 B". */
export function lostText(lost: Coverage["lost"]): string {
  const causes = Object.entries(lost ?? {}).filter(([, loss]) => loss.bytes > 0 || loss.packets > 0);
  if (causes.length === 0) return "none";
  return causes
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([cause, loss]) => `${cause.replaceAll("_", " ")} ${bytes(loss.bytes)}`)
    .join(", ");
}

/** How far a node's clock is from the server's. */
export function clockText(node: NodeCoverage): string {
  if (node.clock_skew_ns == null) return UNKNOWN;
  const seconds = node.clock_skew_ns / 1e9;
  return `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(1)} s`;
}

export function gapsText(node: NodeCoverage): string {
  const gaps = node.gaps_ns ?? [];
  if (gaps.length === 0) return "none";
  const total = gaps.reduce((sum, [start, end]) => sum + (end - start), 0);
  return `${plural(gaps.length, "gap")}, ${duration(total / 1e9)}`;
}

/** Hooks that are not on, with the reason: they explain dashes in columns. */
export function missingHooks(node: NodeCoverage): string[] {
  return (node.hooks ?? [])
    .filter((hook) => hook.state !== "on")
    .map((hook) => `${hook.name} ${hook.state}${hook.reason ? `: ${hook.reason}` : ""}`);
}
