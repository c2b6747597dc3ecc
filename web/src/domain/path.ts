/** The way of a flow through the network, hop by hop, as far as the record knows it. */
import type { FlowRow } from "../api/types";
import { amount } from "./cost";
import { crossing } from "./zone";

export interface Hop {
  kind: "pod" | "node" | "service" | "outside";
  name: string;
  /** Where it stands: node and zone, region, or the address. */
  place: string;
  /** What lies between this hop and the next; empty at the last. */
  leg: string;
  /** The way ends here: what was denied, and by what. */
  stopped: string | null;
}

function hop(row: FlowRow, side: "src" | "dst"): Hop {
  const [kind, address, zone] = [row[`${side}_kind`], row[`${side}_ip`], row[`${side}_zone`]];
  const node = row[`${side}_node`];
  const standing = { leg: "", stopped: null };
  const places = (...parts: (string | null | undefined)[]): string => parts.filter(Boolean).join(", ");
  if (kind === "pod") {
    const name = [row[`${side}_namespace`], row[`${side}_pod`] ?? row[`${side}_workload`]].filter(Boolean).join("/");
    return { ...standing, kind: "pod", name: name || address, place: places(address, node && `on ${node}`, zone) };
  }
  if (kind === "node")
    return { ...standing, kind: "node", name: `node ${node ?? address}`, place: places(node && address, zone) };
  if (kind === "service")
    return { ...standing, kind: "service", name: `Service at ${address}`, place: "its backend was not seen" };
  const name = row[`${side}_dns_name`] ?? row[`${side}_aws_service`] ?? address;
  return {
    ...standing,
    kind: "outside",
    name,
    place: places(name === address ? null : address, row[`${side}_region`], kind),
  };
}

/** What the two ends' places make of the way between them, with its price. */
function between(row: FlowRow, currency: string): string {
  const place = (side: "src" | "dst"): { zone: string | null; region: string | null } => ({
    zone: row[`${side}_zone`],
    region: row[`${side}_region`],
  });
  const { kind, text } = crossing(place("src"), place("dst"));
  const cost = row.cost ? `${amount(row.cost)} ${currency}`.trim() : "";
  return [kind === "unknown" ? "" : text, cost].filter(Boolean).join(", ");
}

/** From the one who opened the connection to the one who answers, through the Service where one was used. */
export function pathOf(row: FlowRow, currency = ""): Hop[] {
  const [from, to] = [hop(row, "src"), hop(row, "dst")];
  const port = row.dst_port ? `${row.protocol} ${row.dst_port}` : row.protocol;
  const over = between(row, currency);
  if (row.egress_denied_by) from.stopped = row.egress_denied_by;
  if (row.ingress_denied_by) to.stopped = row.ingress_denied_by;
  const last = [port, over].filter(Boolean).join(", ");
  if (!row.service || to.kind === "service") return [{ ...from, leg: last }, to];
  const name = `Service ${[row.service_namespace, row.service].filter(Boolean).join("/")}`;
  const service: Hop = { kind: "service", name, place: row.service_ip ?? "", leg: last, stopped: null };
  return [{ ...from, leg: row.service_port ? `${row.protocol} ${row.service_port}` : row.protocol }, service, to];
}
