/** Figures as people read them: SI units, three significant digits, and a dash for unknown. */

export const UNKNOWN = "–";
const SCALE = ["", "k", "M", "G", "T", "P"] as const;
const grouped = new Intl.NumberFormat("en");

function scaled(value: number): { figure: string; prefix: string } {
  let step = 0;
  let rest = value;
  while (Math.abs(rest) >= 999.5 && step < SCALE.length - 1) {
    rest /= 1000;
    step += 1;
  }
  const digits = step === 0 && Number.isInteger(rest) ? 0 : rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  const figure = rest
    .toFixed(digits)
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "");
  return { figure, prefix: SCALE[step] ?? "" };
}

/** Bytes in SI units: 1.2 MB. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return UNKNOWN;
  const { figure, prefix } = scaled(value);
  return `${figure} ${prefix}B`;
}

/** Bytes per second over `seconds`; unknown when the window has no length. */
export function byteRate(total: number | null, seconds: number): string {
  return total == null || seconds <= 0 ? UNKNOWN : `${bytes(Math.round((total / seconds) * 100) / 100)}/s`;
}

/** A count in full up to a million, then scaled: 12,345 or 1.23 M. */
export function count(value: number | null | undefined): string {
  if (value == null) return UNKNOWN;
  if (Math.abs(value) < 1_000_000) return grouped.format(value);
  const { figure, prefix } = scaled(value);
  return `${figure} ${prefix}`;
}

export function perSecond(total: number | null, seconds: number): string {
  if (total == null || seconds <= 0) return UNKNOWN;
  const { figure, prefix } = scaled(Math.round((total / seconds) * 100) / 100);
  return `${figure}${prefix ? ` ${prefix}` : ""}/s`;
}

/** A ratio as a percentage that never rounds up to 100 %: 0.99996 is 99.9 %. */
export function percent(ratio: number | null | undefined): string {
  if (ratio == null) return UNKNOWN;
  if (ratio >= 1) return "100 %";
  const tenths = Math.floor(ratio * 1000 + 1e-9) / 10;
  return tenths === 0 && ratio > 0 ? "< 0.1 %" : `${tenths.toFixed(1).replace(/\.0$/, "")} %`;
}

const pad = (value: number): string => String(value).padStart(2, "0");

/** Nanoseconds since the epoch as a UTC date and time. */
export function moment(ns: number | null | undefined): string {
  if (ns == null) return UNKNOWN;
  const date = new Date(ns / 1e6);
  const day = `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`;
  return `${day} ${clock(ns)} UTC`;
}

/** Nanoseconds since the epoch as a UTC time of day. */
export function clock(ns: number): string {
  const date = new Date(ns / 1e6);
  return `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())}`;
}

/** Short enough for a table: 11-22 13:59:58, UTC. */
export function shortMoment(ns: number): string {
  const date = new Date(ns / 1e6);
  return `${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())} ${clock(ns)}`;
}

/** A length of time in its two largest units: 1 h 5 min. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const parts: string[] = [];
  let rest = Math.round(seconds);
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ] as const) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0 && parts.length < 2) parts.push(`${amount} ${unit}`);
  }
  return parts.join(" ");
}

/** A time in µs in the unit that people would use: 850 µs, 1.2 ms, 3.4 s. */
export function microseconds(us: number): string {
  if (us < 1000) return `${Math.round(us)} µs`;
  return us < 1e6 ? `${Number((us / 1e3).toPrecision(3))} ms` : `${Number((us / 1e6).toPrecision(3))} s`;
}

/** "1 gap", "2 gaps". */
export function plural(amount: number, word: string): string {
  return `${count(amount)} ${word}${amount === 1 ? "" : "s"}`;
}
