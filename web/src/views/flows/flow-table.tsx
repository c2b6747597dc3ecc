import Table, { type TableProps } from "@cloudscape-design/components/table";
import type { ReactNode } from "react";
import type { FlowRow } from "../../api/types";
import { Value } from "../../components/value";
import { FLOW_COLUMNS, rowId, type Around, type FlowColumn } from "../../domain/columns";

interface Properties {
  rows: readonly FlowRow[];
  columns: readonly string[];
  around: Around;
  sort: string;
  chosen: string | null;
  loading: boolean;
  empty: ReactNode;
  onSort: (sort: string) => void;
  onChoose: (row: FlowRow) => void;
}

function definition(
  column: FlowColumn,
  first: boolean,
  around: Around,
  chosen: string | null,
  onChoose: (row: FlowRow) => void,
): TableProps.ColumnDefinition<FlowRow> {
  return {
    id: column.id,
    header: <span className={column.numeric ? "ew-number" : undefined}>{column.title}</span>,
    sortingField: column.word,
    isRowHeader: first,
    cell: (row) => {
      const { text, why, note } = column.cell(row, around);
      const opens = first && (
        <button
          type="button"
          className="ew-open"
          onClick={() => onChoose(row)}
          aria-pressed={rowId(row) === chosen}
          aria-label={`Details of ${text}`}
        >
          {text}
        </button>
      );
      return (
        <span className={column.numeric ? "ew-number" : undefined}>
          {opens || <Value text={text} why={why} />}
          {note && <span className="ew-note">{note}</span>}
        </span>
      );
    },
  };
}

/** The server sorts; a click on a header asks for another order. */
export function FlowTable({ rows, columns, around, sort, chosen, loading, empty, onSort, onChoose }: Properties) {
  const shown = columns.flatMap((id) => FLOW_COLUMNS.find((column) => column.id === id) ?? []);
  const descending = sort.startsWith("-");
  return (
    <Table
      items={rows}
      trackBy={rowId}
      columnDefinitions={shown.map((column, index) => definition(column, index === 0, around, chosen, onChoose))}
      sortingColumn={{ sortingField: sort.replace(/^-/, "") }}
      sortingDescending={descending}
      onSortingChange={({ detail }) => {
        const word = detail.sortingColumn.sortingField ?? "";
        const largestFirst =
          word !== sort.replace(/^-/, "") && FLOW_COLUMNS.some((column) => column.word === word && column.numeric);
        onSort(`${detail.isDescending || largestFirst ? "-" : ""}${word}`);
      }}
      onRowClick={({ detail }) => onChoose(detail.item)}
      contentDensity="compact"
      variant="embedded"
      wrapLines={false}
      loading={loading && rows.length === 0}
      loadingText="Asking the server"
      empty={empty}
      ariaLabels={{ tableLabel: "Flows" }}
    />
  );
}
