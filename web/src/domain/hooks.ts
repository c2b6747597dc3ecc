/** Why a figure is not known: what the nodes' kernel hooks say of themselves. */
import type { Coverage } from "../api/types";

/** What the nodes' hooks say of a figure they could not give; null when every hook is on.
 *
 * `nodes`: only these can have given it; none known = any node. */
export function hookReason(
  coverage: Coverage,
  hook: string,
  nodes: readonly (string | null | undefined)[] = [],
): string | null {
  const asked = nodes.filter((node) => node != null);
  const concerns = (name: string) => !asked.length || asked.some((node) => name === node || name.endsWith(`/${node}`));
  const without = coverage.nodes
    .filter((node) => concerns(node.node))
    .flatMap((node) =>
      (node.hooks ?? [])
        .filter(({ name, state }) => name === hook && state !== "on")
        .map(({ state, reason }) => `${node.node}: ${state}${reason ? ` (${reason})` : ""}`),
    );
  return without.length ? `The hook ${hook} is not on everywhere. ${without.join("; ")}.` : null;
}
