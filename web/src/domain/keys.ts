/** The keyboard path: single keys and two-key sequences, never while typing. */

export type Command =
  | "search"
  | "fit"
  | "larger"
  | "smaller"
  | "overview"
  | "map"
  | "flows"
  | "policies"
  | "enforcement"
  | "close"
  | "help";

const SINGLE: Record<string, Command> = {
  "/": "search",
  f: "fit",
  "+": "larger",
  "-": "smaller",
  Escape: "close",
  "?": "help",
};
const AFTER_G: Record<string, Command> = { o: "overview", m: "map", f: "flows", p: "policies", e: "enforcement" };
export const SHORTCUTS: readonly [string, string][] = [
  ["/", "Search the map, or go to the filter"],
  ["f", "Fit the map"],
  ["+ -", "Larger, smaller"],
  ["g o", "Go to the overview"],
  ["g m", "Go to the map"],
  ["g f", "Go to the flows"],
  ["g p", "Go to the policies"],
  ["g e", "Go to the enforcement"],
  ["Esc", "Close the panel"],
  ["?", "Show these keys"],
];

export interface Press {
  key: string;
  /** Ctrl, Alt or Meta is down. */
  modified: boolean;
  /** Focus is in a field that takes text. */
  typing: boolean;
}

/** What a key press means after `before` ("g" when it began a sequence), and the next `before`. */
export function interpret(press: Press, before: "g" | null): { command: Command | null; next: "g" | null } {
  if (press.modified) return { command: null, next: null };
  if (press.typing) return { command: press.key === "Escape" ? "close" : null, next: null };
  if (before === "g") return { command: AFTER_G[press.key] ?? null, next: null };
  if (press.key === "g") return { command: null, next: "g" };
  return { command: SINGLE[press.key] ?? null, next: null };
}
