/** What a connection crosses, from the places of its two ends. */

export interface Place {
  zone: string | null;
  region?: string | null;
}

export interface Crossing {
  kind: "same-zone" | "inter-zone" | "inter-region" | "unknown";
  text: string;
}

/** A region differs: inter-region; zones differ: inter-zone; anything unknown that matters stays unknown. */
export function crossing(from: Place, to: Place): Crossing {
  if (from.region && to.region && from.region !== to.region)
    return { kind: "inter-region", text: `between regions: ${from.region} → ${to.region}` };
  if (!from.zone || !to.zone) return { kind: "unknown", text: "unknown" };
  if (from.zone === to.zone) return { kind: "same-zone", text: `within ${from.zone}` };
  return { kind: "inter-zone", text: `between zones: ${from.zone} → ${to.zone}` };
}

/** Why a zone is not known. */
export function zoneReason(kind: string, pods: number | null | undefined): string {
  if (kind === "aws" || kind === "internet") return "Outside the cluster: its zone is not published.";
  if (kind === "workload") return (pods ?? 0) > 1 ? "Its pods stand in several zones." : "Its pod's zone is not known.";
  return "Its node carries no topology.kubernetes.io/zone label.";
}
