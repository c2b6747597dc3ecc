/** How a range went, as bars: heights, and what each step says of itself. */
import type { HistoryPoint } from "../api/types";
import { bytes, clock, plural } from "./format";

export interface Step {
  start: number;
  /** 0 to 1 of the highest rate in the range; null where nobody watched. */
  height: number | null;
  /** What went wrong in it, worst first. */
  trouble: "denied" | "failing" | null;
  text: string;
}

const seconds = (point: HistoryPoint): number => Math.max(1, (point.end_ns - point.start_ns) / 1e9);
const rate = (point: HistoryPoint): number => (point.bytes ?? 0) / seconds(point);

function troubleOf(point: HistoryPoint): Step["trouble"] {
  if (point.policy_denied) return "denied";
  return point.retransmits || point.rtos || point.resets || point.connection_failures ? "failing" : null;
}

function textOf(point: HistoryPoint): string {
  const when = `${clock(point.start_ns)} to ${clock(point.end_ns)} UTC`;
  if (!point.watched) return `${when}: no agent reported`;
  const parts = [
    `${bytes(rate(point))}/s`,
    plural(point.connections ?? 0, "connection"),
    point.policy_denied ? `${plural(point.policy_denied, "packet")} denied` : "",
    point.retransmits ? `${point.retransmits} sent again` : "",
    point.rtos ? plural(point.rtos, "timeout") : "",
    point.resets ? plural(point.resets, "reset") : "",
    point.connection_failures ? `${point.connection_failures} failed to connect` : "",
  ];
  return `${when}: ${parts.filter(Boolean).join(", ")}`;
}

/** One per point. Heights are rates, for the outer steps may be shorter than the others. */
export function stepsOf(points: readonly HistoryPoint[]): Step[] {
  const most = Math.max(...points.map(rate), 0);
  return points.map((point) => ({
    start: point.start_ns,
    height: point.watched ? (most > 0 ? rate(point) / most : 0) : null,
    trouble: troubleOf(point),
    text: textOf(point),
  }));
}

/** The whole in one sentence, for those who do not see bars. */
export function summaryOf(points: readonly HistoryPoint[]): string {
  const watched = points.filter((point) => point.watched);
  if (watched.length === 0) return "No agent reported in this range.";
  const most = watched.reduce((a, b) => (rate(b) > rate(a) ? b : a));
  const [denied, failing] = (["denied", "failing"] as const).map(
    (what) => watched.filter((point) => troubleOf(point) === what).length,
  );
  const parts = [
    `at most ${bytes(rate(most))}/s, at ${clock(most.start_ns)} UTC`,
    denied ? `denied in ${plural(denied, "step")}` : "",
    failing ? `sent again, reset or failing in ${plural(failing, "step")}` : "",
    watched.length < points.length ? `nobody watched ${plural(points.length - watched.length, "step")}` : "",
  ];
  return parts.filter(Boolean).join("; ");
}
