/** Rows as CSV (RFC 4180): all columns under their filter words, unknown left empty. */
import type { FlowRow } from "../api/types";

/** Quotes what needs it, and keeps spreadsheets from running a cell that looks like a formula. */
export function field(value: string | number | null | undefined): string {
  if (value == null) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(rows: readonly FlowRow[], words: readonly (keyof FlowRow)[]): string {
  const lines = [words.join(","), ...rows.map((row) => words.map((word) => field(row[word])).join(","))];
  return `${lines.join("\r\n")}\r\n`;
}
