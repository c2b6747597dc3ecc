/** Puts a completion into a filter, and splits a filter around what is wrong with it. */
import type { FilterCheck } from "../api/types";

/** The text with `choice` in place of what stands between `from` and the cursor, and where the cursor goes. */
export function apply(text: string, cursor: number, from: number, choice: string): { text: string; cursor: number } {
  const head = text.slice(0, from) + choice;
  return { text: head + text.slice(Math.max(cursor, from)), cursor: head.length };
}

/** What to underline; at least one character, also past the end of the text. */
export function underline(
  text: string,
  error: FilterCheck["error"] | null,
): { before: string; wrong: string; after: string } {
  if (!error) return { before: text, wrong: "", after: "" };
  const start = Math.min(error.position, text.length);
  const end = Math.max(error.end, start + 1);
  return { before: text.slice(0, start), wrong: text.slice(start, end) || "\u00a0", after: text.slice(end) };
}
