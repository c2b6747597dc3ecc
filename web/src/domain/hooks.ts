/** Why a figure is not known: what the nodes' kernel hooks say of themselves. */
import type { Coverage } from "../api/types";

/** What the nodes' hooks say of a figure they could not give; null when every hook is on. */
export function hookReason(coverage: Coverage, hook: string): string | null {
  const without = coverage.nodes.flatMap((node) =>
    (node.hooks ?? [])
      .filter(({ name, state }) => name === hook && state !== "on")
      .map(({ state, reason }) => `${node.node}: ${state}${reason ? ` (${reason})` : ""}`),
  );
  return without.length ? `The hook ${hook} is not on everywhere. ${without.join("; ")}.` : null;
}
