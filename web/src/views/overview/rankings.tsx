import type { Costs, EnforcementStatus, FlowPage, LookupSummary, ServiceMap, Top } from "../../api/types";
import { Value } from "../../components/value";
import { costCell, pricesText } from "../../domain/cost";
import { EVERY, matrix, rowText, strictest, summary } from "../../domain/enforcement";
import { both, term } from "../../domain/filter";
import { bytes, count, plural } from "../../domain/format";
import { edgeId } from "../../domain/graph";
import { deniedEdges, flowName, outcomesText, retransmitNote, shareOf, talkerName } from "../../domain/overview";
import { missingLines, WORDS } from "../../domain/verdict";
import { setView } from "../../state/view";
import { Ranking } from "./tile";

/** The flow table of one workload, whichever end it is. */
function openWorkload(namespace: string | null, name: string): void {
  const ends = (["src", "dst"] as const).map(
    (side) => `(${both(namespace ? term(`${side}_namespace`, namespace) : "", term(`${side}_workload`, name))})`,
  );
  setView({ page: "flows", view: "all", filter: ends.join(" or "), verdict: null, cursor: null, row: null });
}

export function Talkers({ top }: { top: Top }) {
  const most = Math.max(...top.rows.map((row) => row.bytes), 0);
  return (
    <Ranking
      title="Top talkers"
      empty="Nothing was sent in this range."
      bars={top.rows.map((row) => ({
        key: `${row.namespace}/${row.kind}/${row.name}`,
        name: talkerName(row),
        figure: bytes(row.bytes),
        note: `${bytes(row.bytes_sent)} sent, ${bytes(row.bytes_received)} received, ${plural(row.connections, "connection")}`,
        share: shareOf(row.bytes, most),
        onOpen: () => openWorkload(row.namespace, row.name),
      }))}
    />
  );
}

export function CrossZone({ costs }: { costs: Costs }) {
  const pairs = costs.zone_pairs.filter(({ name }) => {
    const [from, to] = name.split(">");
    return from !== to;
  });
  const most = Math.max(...pairs.map((pair) => pair.bytes), 0);
  const currency = costs.prices?.currency;
  return (
    <Ranking
      title="Cross-zone traffic and cost"
      empty="Nothing crossed a zone, or no zone is known."
      foot={pricesText(costs.prices)}
      bars={pairs.slice(0, 6).map((pair) => {
        const cost = costCell(pair, currency);
        return {
          key: pair.name,
          name: pair.name.replace(">", " → "),
          figure: (
            <>
              {bytes(pair.bytes)}, <Value text={cost.text} why={cost.why} />
            </>
          ),
          share: shareOf(pair.bytes, most),
          onOpen: () =>
            setView({ page: "flows", view: "all", filter: term("zone_pair", pair.name), cursor: null, row: null }),
        };
      })}
    />
  );
}

export function Payers({ costs }: { costs: Costs }) {
  const rows = costs.rows.filter((row) => row.cost);
  const most = Math.max(...rows.map((row) => row.cost ?? 0), 0);
  return (
    <Ranking
      title="Who pays"
      empty={costs.prices ? "Nothing in this range has a price above 0." : pricesText(null)}
      bars={rows.slice(0, 6).map((row) => {
        const cost = costCell(row, costs.prices?.currency);
        return {
          key: `${row.namespace}/${row.kind}/${row.name}`,
          name: talkerName(row),
          figure: <Value text={cost.text} why={cost.why} />,
          share: shareOf(row.cost ?? 0, most),
          onOpen: () => openWorkload(row.namespace, row.name),
        };
      })}
    />
  );
}

export function SentAgain({ page }: { page: FlowPage }) {
  const most = Math.max(...page.rows.map((row) => row.retransmits ?? 0), 0);
  return (
    <Ranking
      title="Retransmissions by edge"
      empty="Nothing was sent again."
      bars={page.rows.map((row, index) => ({
        key: `${index} ${flowName(row)}`,
        name: flowName(row),
        figure: count(row.retransmits),
        note: retransmitNote(row),
        share: shareOf(row.retransmits ?? 0, most),
      }))}
    />
  );
}

export function LookupErrors({ dns }: { dns: LookupSummary }) {
  const most = Math.max(...dns.rows.map((row) => row.errors), 0);
  return (
    <Ranking
      title="DNS errors by workload"
      empty={dns.lookups == null ? "Lookups were not measured." : "Every lookup was answered without an error."}
      bars={dns.rows.slice(0, 6).map((row) => ({
        key: `${row.namespace}/${row.kind}/${row.name}`,
        name: talkerName(row),
        figure: `${count(row.errors)} of ${count(row.lookups)}`,
        note: outcomesText(row.outcomes),
        share: shareOf(row.errors, most),
      }))}
    />
  );
}

export function Denied({ map }: { map: ServiceMap }) {
  return (
    <Ranking
      title="Denied, and what is missing"
      empty="Nothing was denied in this range."
      bars={deniedEdges(map, 6).map(({ edge, name }) => ({
        key: edgeId(edge),
        name: `${edge.verdict ? WORDS[edge.verdict].sign : ""} ${name}`,
        figure: plural(edge.policy_denied ?? 0, "packet"),
        note: missingLines(edge).join("; "),
        onOpen: () =>
          setView({ page: "map", level: "workload", verdict: null, selected: { kind: "edge", id: edgeId(edge) } }),
      }))}
    />
  );
}

/** Which namespaces are on audit or enforce, and whether that is in force. */
export function Enforcement({ status }: { status: EnforcementStatus }) {
  const rows = matrix(status).rows.filter((row) => row.cells.some((cell) => strictest(cell) !== "off"));
  const open = (): void => setView({ page: "enforcement" });
  return (
    <Ranking
      title="Enforcement"
      empty={summary(status).text}
      foot={rows.length ? summary(status).text : undefined}
      bars={rows.slice(0, 8).map((row) => {
        return {
          key: row.namespace,
          name: row.namespace === EVERY ? "all other namespaces" : row.namespace,
          figure: rowText(row),
          note: row.inForce ? `in force on ${row.inForce}` : "",
          onOpen: open,
        };
      })}
    />
  );
}
