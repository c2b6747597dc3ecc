/** The columns of the flow table: titles, how to read a value, and why one may be unknown. */
import type { Coverage, FlowRow, PricesUsed } from "../api/types";
import type { Cell } from "./cell";
import { costCell } from "./cost";
import { bytes, count, microseconds, shortMoment, UNKNOWN } from "./format";
import { hookReason } from "./hooks";
import type { FlowView } from "./url";
import { NOBODY, verdictCell } from "./verdict";

/** What a row itself does not say: why a figure is unknown, and in which currency amounts are. */
export interface Around {
  coverage: Coverage | null;
  prices: PricesUsed | null;
}

export const NOTHING_AROUND: Around = { coverage: null, prices: null };

export interface FlowColumn {
  id: string;
  title: string;
  section: "Source" | "Destination" | "Connection" | "Traffic" | "Policy" | "Health" | "Cost" | "Provenance";
  numeric: boolean;
  /** The filter word and sort key behind the column. */
  word: keyof FlowRow;
  cell: (row: FlowRow, around?: Around) => Cell;
}

const known = (text: string): Cell => ({ text, why: null });
const OUTSIDE: Record<string, string> = {
  internet: "An address outside the cluster.",
  aws: "An address in AWS's published ranges.",
  node: "The node itself, not a pod.",
  service: "A Service address whose backend was not seen.",
  unknown: "The address belonged to no known pod, node, Service or published range at the time.",
};
const REASONS: Record<string, string> = {
  dns_name: "No lookup of this address was seen.",
  zone: "No zone is known for this end.",
  region: "No region is known for this end.",
  aws_service: "Not an address of an AWS service.",
  named_by: "How this end was named was not recorded.",
};

/** Why `field` of the end `side` is unknown in this row. */
export function endReason(row: FlowRow, side: "src" | "dst", field: string): string {
  return REASONS[field] ?? OUTSIDE[side === "src" ? row.src_kind : row.dst_kind] ?? "Not recorded.";
}

/** Who, and below it which pod or address. */
function endText(row: FlowRow, side: "src" | "dst"): Cell {
  const [kind, namespace, workload] = [row[`${side}_kind`], row[`${side}_namespace`], row[`${side}_workload`]];
  const [address, name] = [row[`${side}_ip`], row[`${side}_dns_name`]];
  if (workload)
    return { ...known(namespace ? `${namespace} / ${workload}` : workload), note: row[`${side}_pod`] ?? address };
  const aws = row[`${side}_aws_service`];
  if (aws) return { ...known([aws, row[`${side}_region`]].filter(Boolean).join(" ")), note: name ?? address };
  if (kind === "node" && row[`${side}_node`]) return { ...known(`node ${row[`${side}_node`]}`), note: address };
  return { ...known(name ?? address), note: name ? `${address}, ${kind}` : kind };
}

function endColumns(side: "src" | "dst", section: "Source" | "Destination"): FlowColumn[] {
  const fields = [
    ["kind", "kind"],
    ["namespace", "namespace"],
    ["workload", "workload"],
    ["workload_kind", "workload kind"],
    ["pod", "pod"],
    ["node", "node"],
    ["zone", "zone"],
    ["region", "region"],
    ["aws_service", "AWS service"],
    ["dns_name", "DNS name"],
    ["ip", "address"],
    ["named_by", "named by"],
  ] as const;
  const whole: FlowColumn = {
    id: side,
    title: section,
    section,
    numeric: false,
    word: `${side}_workload`,
    cell: (row) => endText(row, side),
  };
  return [
    whole,
    ...fields.map(([field, title]): FlowColumn => {
      const word: keyof FlowRow = `${side}_${field}`;
      const cell = (row: FlowRow): Cell => {
        const value = row[word];
        return value == null ? { text: UNKNOWN, why: endReason(row, side, field) } : known(String(value));
      };
      return { id: word, title: `${section} ${title}`, section, numeric: false, word, cell };
    }),
  ];
}

function plain(word: keyof FlowRow, title: string, section: FlowColumn["section"], why: string): FlowColumn {
  const numeric = word.endsWith("_port");
  const cell = (row: FlowRow): Cell => {
    const value = row[word];
    return value == null || (word === "dst_port" && value === 0) ? { text: UNKNOWN, why } : known(String(value));
  };
  return { id: word, title, section, numeric, word, cell };
}

const PORT: FlowColumn = {
  id: "port",
  title: "Port",
  section: "Connection",
  numeric: false,
  word: "dst_port",
  cell: (row) => known(row.dst_port ? `${row.protocol} ${row.dst_port}` : row.protocol),
};

function measure(word: keyof FlowRow, title: string, format: (value: number) => string): FlowColumn {
  const cell = (row: FlowRow): Cell => {
    const value = row[word];
    return typeof value === "number"
      ? known(format(value))
      : { text: UNKNOWN, why: "No hook on this node provides it." };
  };
  return { id: word, title, section: "Traffic", numeric: true, word, cell };
}

/** A figure of a hook that may be off or refused. */
function health(word: keyof FlowRow, title: string, format: (value: number) => string, hook = "sock_ops"): FlowColumn {
  const cell = (row: FlowRow, { coverage }: Around = NOTHING_AROUND): Cell => {
    const value = row[word];
    if (typeof value === "number") return known(format(value));
    if (hook === "sock_ops" && row.protocol !== "TCP")
      return { text: UNKNOWN, why: `${row.protocol} does not tell it.` };
    return {
      text: UNKNOWN,
      why:
        (coverage && hookReason(coverage, hook, [row.src_node, row.dst_node])) ?? "Nothing was measured in this range.",
    };
  };
  return { id: word, title, section: "Health", numeric: true, word, cell };
}

/** Packets that the policies ruled on. */
function ruled(word: keyof FlowRow, title: string): FlowColumn {
  const cell = (row: FlowRow): Cell => {
    const value = row[word];
    return typeof value === "number" ? known(count(value)) : { text: UNKNOWN, why: NOBODY };
  };
  return { id: word, title, section: "Policy", numeric: true, word, cell };
}

const POLICY: readonly FlowColumn[] = [
  { id: "verdict", title: "Verdict", section: "Policy", numeric: false, word: "verdict", cell: verdictCell },
  ruled("policy_allowed", "Packets allowed"),
  ruled("policy_denied", "Packets denied"),
  ruled("policy_would_deny", "Would be denied"),
  plain("egress_denied_by", "Egress denied by", "Policy", "The initiator's end denied nothing."),
  plain("ingress_denied_by", "Ingress denied by", "Policy", "The server's end denied nothing."),
  plain("egress_allowed_by", "Egress allowed by", "Policy", "The initiator's end allowed nothing by a policy."),
  plain("ingress_allowed_by", "Ingress allowed by", "Policy", "The server's end allowed nothing by a policy."),
  plain("missing", "What is missing", "Policy", "Nothing was denied."),
];

const COST: FlowColumn = {
  id: "cost",
  title: "Cost",
  section: "Cost",
  numeric: true,
  word: "cost",
  cell: (row, { prices } = NOTHING_AROUND) => costCell(row, prices?.currency),
};

const DIRECT = "The client connected to the backend's own address, or no agent saw the translation.";

export const FLOW_COLUMNS: readonly FlowColumn[] = [
  ...endColumns("src", "Source"),
  ...endColumns("dst", "Destination"),
  PORT,
  plain("protocol", "Protocol", "Connection", "Not recorded."),
  plain("dst_port", "Port number", "Connection", "This protocol has no ports."),
  plain("service", "Service", "Connection", DIRECT),
  plain("service_namespace", "Service namespace", "Connection", DIRECT),
  plain("service_ip", "Service address", "Connection", DIRECT),
  plain("service_port", "Service port", "Connection", DIRECT),
  measure("bytes_forward", "Bytes forward", bytes),
  measure("bytes_reverse", "Bytes reverse", bytes),
  measure("connections", "Connections", count),
  measure("connections_established", "Answered", count),
  measure("packets_forward", "Packets forward", count),
  measure("packets_reverse", "Packets reverse", count),
  measure("segments_forward", "Segments forward", count),
  measure("segments_reverse", "Segments reverse", count),
  measure("wire_bytes_forward", "Wire bytes forward", bytes),
  measure("wire_bytes_reverse", "Wire bytes reverse", bytes),
  measure("first_seen_ns", "First seen (UTC)", shortMoment),
  measure("last_seen_ns", "Last seen (UTC)", shortMoment),
  ...POLICY,
  health("rtt_p50_us", "Round trip, median", microseconds),
  health("rtt_p99_us", "Round trip, 99th", microseconds),
  health("rtt_min_us", "Least round trip", microseconds),
  health("connect_mean_us", "Time to connect", microseconds),
  health("retransmits_established", "Sent again", count),
  health("rtos_established", "Timeouts", count),
  health("resets", "Resets", count),
  health("connection_failures", "Failed to connect", count),
  health("drops", "Packets dropped", count, "drops"),
  COST,
  plain("category", "Category", "Connection", "Not recorded."),
  plain("zone_pair", "Zones", "Connection", "The zone of an end is not known."),
  plain("reporter", "Reported by", "Provenance", "Not recorded."),
  plain("role_source", "Roles known from", "Provenance", "Not recorded."),
];

const COMMON = [
  "port",
  "service",
  "bytes_forward",
  "bytes_reverse",
  "connections",
  "connections_established",
  "last_seen_ns",
];
export const DEFAULT_COLUMNS: Record<FlowView, readonly string[]> = {
  cluster: ["src", "dst", ...COMMON],
  aws: ["src", "dst", ...COMMON.filter((id) => id !== "service")],
  external: ["src", "dst", ...COMMON.filter((id) => id !== "service")],
  all: ["src", "dst", ...COMMON],
};

/** The columns to show when nobody chose any: verdicts where there are some, or where they are asked for. */
export function defaultColumns(view: FlowView, rows: readonly FlowRow[], asked: boolean): readonly string[] {
  const own = DEFAULT_COLUMNS[view];
  if (!asked && !rows.some((row) => row.verdict != null)) return own;
  const [src = "src", dst = "dst", port = "port", ...rest] = own;
  return asked
    ? [src, dst, port, "verdict", "missing", "policy_denied", "policy_would_deny", "connections", "last_seen_ns"]
    : [src, dst, port, "verdict", ...rest];
}

/** Tells rows apart, also across refreshes. */
export function rowId(row: FlowRow): string {
  return [
    row.src_ip,
    row.dst_ip,
    row.protocol,
    row.dst_port,
    row.service_ip ?? "",
    row.service_port ?? "",
    row.reporter,
  ].join("~");
}
