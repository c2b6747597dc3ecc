import SegmentedControl from "@cloudscape-design/components/segmented-control";
import { useMemo, useRef } from "react";
import type { Coverage, FlowPage, FlowRow } from "../../api/types";
import { FilterBar } from "../../components/filter-bar";
import { VerdictSelect } from "../../components/verdict-select";
import { Empty, ProblemNotice } from "../../components/notices";
import { defaultColumns, rowId } from "../../domain/columns";
import { explainEmpty } from "../../domain/empty";
import { both } from "../../domain/filter";
import { rangeParameters } from "../../domain/range";
import type { FlowView, ViewState } from "../../domain/url";
import { useAnswer } from "../../state/answer";
import { useKeyboard } from "../../state/keyboard";
import { remedy } from "../../state/remedy";
import { setView } from "../../state/view";
import { ExportButton } from "./export-button";
import { FlowPanel } from "./flow-panel";
import { FlowTable } from "./flow-table";
import { Pages } from "./pages";
import { Preferences } from "./preferences";

const VIEWS: readonly { id: FlowView; text: string }[] = [
  { id: "cluster", text: "Cluster" },
  { id: "aws", text: "AWS services" },
  { id: "external", text: "External" },
  { id: "all", text: "All" },
];

const NO_ROWS: readonly FlowRow[] = [];

/** Only the first page follows new data; later pages hold still under the reader. */
export default function FlowsView({
  view,
  coverage,
  tick,
}: {
  view: ViewState;
  coverage: Coverage | null;
  tick: number;
}) {
  const filter = useRef<HTMLInputElement>(null);
  const question = {
    view: view.view === "all" ? null : view.view,
    verdict: view.verdict,
    namespace: view.namespace,
    filter: view.filter,
    sort: view.sort,
    ...rangeParameters(view.range),
  };
  const asked = { ...question, limit: view.pageSize, cursor: view.cursor };
  const { data: page, problem, loading } = useAnswer<FlowPage>("flows", asked, view.cursor == null ? tick : 0);
  const rows = page?.rows ?? NO_ROWS;
  const chosen = rows.find((row) => rowId(row) === view.row);
  const columns = view.columns ?? defaultColumns(view.view, rows, view.verdict != null);
  const around = useMemo(() => ({ coverage, prices: page?.prices ?? null }), [coverage, page?.prices]);
  useKeyboard((command) => {
    if (command === "search") filter.current?.focus();
    else if (command === "close" && view.row) setView({ row: null });
    else return false;
    return true;
  });
  const circumstances = {
    coverage,
    window: page?.window ?? null,
    filter: [view.verdict ? `verdict: ${view.verdict}` : "", view.filter].filter(Boolean).join(" and "),
    namespace: view.namespace,
    hidden: 0,
    what: "flows",
  };
  const narrow = (term: string): void => setView({ filter: both(view.filter, term), cursor: null, row: null });
  return (
    <main className="ew-flows" aria-busy={loading}>
      <div className="ew-tools" role="group" aria-label="Table settings">
        <SegmentedControl
          label="View"
          selectedId={view.view}
          options={[...VIEWS]}
          onChange={({ detail }) =>
            setView({
              view: VIEWS.find(({ id }) => id === detail.selectedId)?.id ?? "cluster",
              cursor: null,
              row: null,
              columns: null,
            })
          }
        />
        <VerdictSelect
          value={view.verdict}
          onChange={(verdict) =>
            setView({ verdict, cursor: null, row: null, columns: null, ...(verdict ? { view: "all" } : {}) })
          }
        />
        <div className="ew-tools-end">
          <Pages view={view} page={page} />
          <ExportButton question={question} />
          <Preferences view={view} columns={columns} />
        </div>
        <FilterBar
          value={view.filter}
          input={filter}
          onSubmit={(text) => setView({ filter: text, cursor: null, row: null })}
        />
      </div>
      {problem && <ProblemNotice problem={problem} />}
      <div className="ew-map-body">
        <div className="ew-table">
          <FlowTable
            rows={rows}
            columns={columns}
            around={around}
            sort={view.sort}
            chosen={view.row}
            loading={loading}
            empty={problem ? problem.title : <Empty emptiness={explainEmpty(circumstances)} onRemedy={remedy} />}
            onSort={(sort) => setView({ sort, cursor: null })}
            onChoose={(row) => setView({ row: rowId(row) })}
          />
        </div>
        {chosen && (
          <FlowPanel
            row={chosen}
            around={around}
            range={view.range}
            onNarrow={narrow}
            onClose={() => setView({ row: null })}
          />
        )}
      </div>
    </main>
  );
}
