/** All rows that match, page by page, as a file. */
import { apiUrl, get, type Parameters } from "../../api/client";
import type { FlowPage, FlowRow } from "../../api/types";
import { FLOW_COLUMNS } from "../../domain/columns";
import { toCsv } from "../../domain/csv";

const PAGE = 10_000;
export const MOST_ROWS = 200_000;

export async function allRows(parameters: Parameters): Promise<{ rows: FlowRow[]; complete: boolean }> {
  const rows: FlowRow[] = [];
  let cursor: string | null = null;
  do {
    const page: FlowPage = await get<FlowPage>(apiUrl("flows", { ...parameters, limit: PAGE, cursor }));
    rows.push(...page.rows);
    cursor = page.next_cursor;
  } while (cursor && rows.length < MOST_ROWS);
  return { rows, complete: cursor == null };
}

/** Saves the rows as flows.csv; columns are the filter words, times stay nanoseconds since the epoch. */
export async function exportCsv(parameters: Parameters): Promise<{ rows: number; complete: boolean }> {
  const { rows, complete } = await allRows(parameters);
  const words = [...new Set(FLOW_COLUMNS.map(({ word }) => word))];
  const file = new Blob([toCsv(rows, words)], { type: "text/csv;charset=utf-8" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = complete ? "flows.csv" : "flows-first-rows.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return { rows: rows.length, complete };
}
