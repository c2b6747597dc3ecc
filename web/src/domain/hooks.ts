/** Why a figure is not known: what the nodes' kernel hooks say of themselves. */
import type { Coverage } from "../api/types";

/** What the nodes' hooks say of a figure they could not give, every node by name; null when every hook is on.
 *
 * `nodes`: only these can have given it; none known = any node. */
export function hookReason(
  coverage: Coverage,
  hook: string,
  nodes: readonly (string | null | undefined)[] = [],
): string | null {
  const asked = nodes.filter((node) => node != null);
  const concerns = (name: string) => !asked.length || asked.some((node) => name === node || name.endsWith(`/${node}`));
  const without = new Map<string, string[]>();
  for (const node of coverage.nodes.filter(({ node }) => concerns(node)))
    for (const { name, state, reason } of node.hooks ?? []) {
      if (name !== hook || state === "on") continue;
      const why = `${state}${reason ? ` (${reason})` : ""}`;
      without.set(why, [...(without.get(why) ?? []), node.node]);
    }
  if (without.size === 0) return null;
  const parts = [...without].map(([why, names]) => `${names.join(", ")}: ${why}`);
  return `The hook ${hook} is not on everywhere. ${parts.join("; ")}.`;
}
