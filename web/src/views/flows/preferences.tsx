import CollectionPreferences from "@cloudscape-design/components/collection-preferences";
import { DEFAULT_COLUMNS, FLOW_COLUMNS } from "../../domain/columns";
import type { ViewState } from "../../domain/url";
import { setView } from "../../state/view";

const SECTIONS = [...new Set(FLOW_COLUMNS.map(({ section }) => section))];
const SIZES = [25, 50, 100, 500] as const;

/** Which columns, and how many rows; kept in the address. */
export function Preferences({ view, columns }: { view: ViewState; columns: readonly string[] }) {
  return (
    <CollectionPreferences
      title="Columns and rows"
      confirmLabel="Apply"
      cancelLabel="Cancel"
      preferences={{ visibleContent: columns, pageSize: view.pageSize }}
      pageSizePreference={{
        title: "Rows on a page",
        options: SIZES.map((value) => ({ value, label: `${value} rows` })),
      }}
      visibleContentPreference={{
        title: "Columns",
        options: SECTIONS.map((section) => ({
          label: section,
          options: FLOW_COLUMNS.filter((column) => column.section === section).map(({ id, title }) => ({
            id,
            label: title,
            editable: id !== "src",
          })),
        })),
      }}
      onConfirm={({ detail }) => {
        const chosen = FLOW_COLUMNS.map(({ id }) => id).filter((id) => detail.visibleContent?.includes(id));
        const usual = chosen.join() === [...DEFAULT_COLUMNS[view.view]].sort(byPlace).join();
        setView({ columns: usual ? null : chosen, pageSize: detail.pageSize ?? view.pageSize, cursor: null });
      }}
    />
  );
}

function byPlace(a: string, b: string): number {
  return FLOW_COLUMNS.findIndex(({ id }) => id === a) - FLOW_COLUMNS.findIndex(({ id }) => id === b);
}
