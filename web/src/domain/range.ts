/** The time range a view shows: relative to now, relative to a moment (paused), or between two moments. */

export type Range =
  { kind: "last"; seconds: number; at: string | null } | { kind: "between"; start: string; end: string };

export const PRESETS = [
  { id: "5m", seconds: 300, text: "5 min" },
  { id: "15m", seconds: 900, text: "15 min" },
  { id: "1h", seconds: 3600, text: "1 h" },
] as const;

export const DEFAULT_RANGE: Range = { kind: "last", seconds: 900, at: null };
const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** "15m" as seconds; null when it is not a length of time. */
export function parseLength(text: string): number | null {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  return match?.[1] && match[2] ? Number(match[1]) * (UNITS[match[2]] ?? 1) : null;
}

export function formatLength(seconds: number): string {
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
  ] as const)
    if (seconds % size === 0) return `${seconds / size}${unit}`;
  return `${seconds}s`;
}

/** An RFC 3339 moment in UTC without useless digits, or null. */
export function parseMoment(text: string | null): string | null {
  const time = text == null ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? null : new Date(time).toISOString().replace(".000Z", "Z");
}

/** What the API is asked for: `window`, or `start` and `end`. */
export function rangeParameters(range: Range): Record<string, string> {
  if (range.kind === "between") return { start: range.start, end: range.end };
  if (range.at == null) return { window: formatLength(range.seconds) };
  return { start: new Date(Date.parse(range.at) - range.seconds * 1000).toISOString(), end: range.at };
}

/** Only a range that ends now can be refreshed. */
export const isLive = (range: Range): boolean => range.kind === "last" && range.at == null;

export function rangeText(range: Range): string {
  if (range.kind === "between") return `${range.start} to ${range.end}`;
  return PRESETS.find((preset) => preset.seconds === range.seconds)?.text ?? formatLength(range.seconds);
}
