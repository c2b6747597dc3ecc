import Button from "@cloudscape-design/components/button";
import type { FlowRow } from "../../api/types";
import { Facts, type Fact } from "../../components/facts";
import { SidePanel } from "../../components/side-panel";
import { Value } from "../../components/value";
import { FLOW_COLUMNS, type Around, type FlowColumn } from "../../domain/columns";
import { both, term } from "../../domain/filter";
import { pathOf } from "../../domain/path";
import type { Range } from "../../domain/range";
import { NOBODY } from "../../domain/verdict";
import { HistoryChart } from "../../components/history";
import { Path } from "./path";

const SECTIONS: readonly FlowColumn["section"][] = [
  "Policy",
  "Traffic",
  "Health",
  "Cost",
  "Connection",
  "Source",
  "Destination",
  "Provenance",
];

const FIGURES: readonly FlowColumn["section"][] = ["Traffic", "Health", "Cost"];

function factOf(column: FlowColumn, row: FlowRow, around: Around, onNarrow: (term: string) => void): Fact {
  const { text, why } = column.cell(row, around);
  const value = row[column.word];
  const narrows = why == null && !FIGURES.includes(column.section) && column.word !== "missing" && value != null;
  return {
    name: column.title.replace(/^(Source|Destination) /, ""),
    value: <Value text={text} why={why} />,
    action: narrows && (
      <Button
        variant="inline-icon"
        iconName="filter"
        ariaLabel={`Only ${column.word}=${value}`}
        onClick={() => onNarrow(term(column.word, value))}
      />
    ),
  };
}

/** The terms that pick this very row. */
const rowFilter = (row: FlowRow): string =>
  both(
    term("src_ip", row.src_ip),
    term("dst_ip", row.dst_ip),
    term("protocol", row.protocol),
    row.dst_port ? term("dst_port", row.dst_port) : "",
  );

/** The way of one row, its history, and every field of it; a funnel narrows the table to the same value. */
export function FlowPanel({
  row,
  around,
  range,
  onNarrow,
  onClose,
}: {
  row: FlowRow;
  around: Around;
  range: Range;
  onNarrow: (term: string) => void;
  onClose: () => void;
}) {
  const name = (side: "src" | "dst"): string =>
    row[`${side}_workload`] ?? row[`${side}_aws_service`] ?? row[`${side}_ip`];
  return (
    <SidePanel
      title={`${name("src")} → ${name("dst")}`}
      subtitle={`${row.protocol}${row.dst_port ? ` ${row.dst_port}` : ""}`}
      onClose={onClose}
    >
      <h3>Network path</h3>
      <Path hops={pathOf(row, around.prices?.currency)} />
      <h3>History</h3>
      <HistoryChart filter={rowFilter(row)} range={range} />
      {row.verdict == null && (
        <p className="ew-soft ew-small">
          <strong>No verdict.</strong> {NOBODY}
        </p>
      )}
      {SECTIONS.filter((section) => section !== "Policy" || row.verdict != null).map((section) => (
        <section key={section}>
          <h3>{section}</h3>
          <Facts
            facts={FLOW_COLUMNS.filter(
              (column) => column.section === section && column.id !== "src" && column.id !== "dst",
            ).map((column) => factOf(column, row, around, onNarrow))}
          />
        </section>
      ))}
    </SidePanel>
  );
}
