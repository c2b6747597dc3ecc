/** Why there is nothing to see, most specific cause first, and what would help. */
import type { Coverage, Window } from "../api/types";
import { clock, plural } from "./format";

export interface Emptiness {
  title: string;
  why: string;
  remedy: "clear-filter" | "all-namespaces" | "longer" | "show-hidden" | "coverage" | null;
}

export interface Circumstances {
  coverage: Coverage | null;
  window: Window | null;
  filter: string;
  namespace: string | null;
  /** How many edges the map would show if nothing was hidden. */
  hidden: number;
  what: string;
}

const START =
  "Start an agent on each: eastwest agent --cluster NAME --node NODE --server URL --token-file FILE (eastwest server token makes the token). " +
  "The first connections show seconds later; eastwest agent --probe says what a node’s kernel can do.";

const span = (window: Window): string => `${clock(window.start_ns)} to ${clock(window.end_ns)} UTC`;

function silentNodes(coverage: Coverage, what: string): Emptiness | null {
  const nodes = coverage.nodes;
  if (nodes.length > 0 && nodes.every((node) => node.state === "reporting")) return null;
  if (nodes.every((node) => node.state === "never"))
    return {
      title: "No agents are reporting",
      why: nodes.length
        ? `None of the ${plural(nodes.length, "node")} has ever sent a report. ${START}`
        : `The server has not heard from any node. ${START}`,
      remedy: null,
    };
  const silent = nodes.filter((node) => node.state !== "reporting").map((node) => node.node);
  return {
    title: `No ${what}, and ${plural(silent.length, "node")} silent`,
    why: `${silent.join(", ")} did not report in this range, so this may not be the whole truth.`,
    remedy: "coverage",
  };
}

function beforeFirstReport({ coverage, window, what }: Circumstances): Emptiness | null {
  const ends = coverage?.nodes.flatMap((node) => node.last_window_end_ns ?? []) ?? [];
  if (!window || coverage?.hook_bytes != null || ends.length === 0) return null;
  return {
    title: `No ${what} in this time range`,
    why: `No node reported between ${span(window)}; the newest report ends at ${clock(Math.max(...ends))} UTC.`,
    remedy: "longer",
  };
}

export function explainEmpty(given: Circumstances): Emptiness {
  const { coverage, filter, namespace, hidden, what, window } = given;
  if (hidden > 0)
    return {
      title: "Everything is hidden",
      why: `${plural(hidden, "connection")} of this range are hidden by the toggles above the map.`,
      remedy: "show-hidden",
    };
  if (coverage && coverage.hook_bytes == null && !window?.recorded) {
    const silent = silentNodes(coverage, what);
    if (silent?.title.startsWith("No agents")) return silent;
  }
  if (filter)
    return {
      title: "The filter matches nothing",
      why: `No ${what} in this range match “${filter}”.`,
      remedy: "clear-filter",
    };
  const before = beforeFirstReport(given);
  if (before) return before;
  if (namespace)
    return {
      title: `No ${what} in namespace ${namespace}`,
      why: `Nothing in ${namespace} sent or received anything in this range.`,
      remedy: "all-namespaces",
    };
  const silent = coverage && !window?.recorded ? silentNodes(coverage, what) : null;
  return (
    silent ?? {
      title: `No ${what}`,
      why: "All nodes reported, and nothing was sent or received in this range.",
      remedy: "longer",
    }
  );
}
