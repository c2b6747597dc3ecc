/** What the policies decided about an edge: words, signs, reasons, and what is missing. Colour is never alone. */
import type { FlowRow, MapEdge } from "../api/types";
import type { Cell } from "./cell";
import { count, UNKNOWN } from "./format";

export type Verdict = NonNullable<MapEdge["verdict"]>;
/** The parts of an edge or a row that say what was decided. */
export type Decided = Pick<
  MapEdge | FlowRow,
  | "verdict"
  | "policy_allowed"
  | "policy_denied"
  | "policy_would_deny"
  | "egress_denied_by"
  | "ingress_denied_by"
  | "egress_allowed_by"
  | "ingress_allowed_by"
  | "missing"
>;

/** Worst first. */
export const VERDICTS: readonly Verdict[] = ["denied", "partly", "would_deny", "allowed"];

export const WORDS: Record<Verdict, { sign: string; word: string; sentence: string }> = {
  denied: { sign: "✕", word: "denied", sentence: "Denied by policy" },
  partly: { sign: "◐", word: "partly denied", sentence: "Partly denied by policy" },
  would_deny: { sign: "△", word: "would be denied", sentence: "Enforcing would deny it (audit)" },
  allowed: { sign: "✓", word: "allowed", sentence: "Allowed by policy" },
};

export const NOBODY =
  "No end decided: enforcement is off there, has not seen a packet of it yet, or the kernel cannot enforce.";

/** The worst of several; null when nobody decided about any. */
export function worst(verdicts: readonly (Verdict | null | undefined)[]): Verdict | null {
  return VERDICTS.find((verdict) => verdicts.includes(verdict)) ?? null;
}

/** "✕ denied", or a dash with its reason. */
export function verdictCell(decided: Decided): Cell {
  const { verdict } = decided;
  if (verdict == null) return { text: UNKNOWN, why: NOBODY };
  const { sign, word } = WORDS[verdict];
  const by = [...new Set(deciders(decided).map(({ by }) => by))].join(", ");
  return { text: `${sign} ${word}`, why: null, ...(by && verdict !== "allowed" ? { note: by } : {}) };
}

export interface Decider {
  end: "egress" | "ingress";
  denied: boolean;
  by: string;
}

/** Who decided at which end: those that denied, else those that allowed. */
export function deciders(decided: Decided): Decider[] {
  const of = (denied: boolean): Decider[] =>
    (["egress", "ingress"] as const).flatMap((end) => {
      const by = denied ? decided[`${end}_denied_by`] : decided[`${end}_allowed_by`];
      return by ? [{ end, denied, by }] : [];
    });
  const denials = of(true);
  return denials.length ? denials : of(false);
}

const PACKETS = [
  ["policy_allowed", "allowed"],
  ["policy_denied", "denied"],
  ["policy_would_deny", "would be denied"],
] as const;

/** "12 allowed, 3 denied": packets, both ends added up; only what is not zero. */
export function packetsText(decided: Decided): string {
  const known = PACKETS.flatMap(([name, word]) => {
    const packets = decided[name];
    return packets ? [`${count(packets)} ${word}`] : [];
  });
  return known.length ? known.join(", ") : "none";
}

/** What is missing, one line for each end. */
export const missingLines = (decided: Decided): string[] => decided.missing?.split("; ") ?? [];
