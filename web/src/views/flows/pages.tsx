import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import type { FlowPage } from "../../api/types";
import { count } from "../../domain/format";
import type { ViewState } from "../../domain/url";
import { setView } from "../../state/view";

/** Forward by the server's cursor, back by the cursors already passed; a shared address knows only its own page. */
export function Pages({ view, page }: { view: ViewState; page: FlowPage | null }) {
  const [passed, setPassed] = useState<readonly (string | null)[]>([]);
  if (view.cursor == null && passed.length > 0) setPassed([]);
  const first = view.cursor == null;
  const known = first || passed.length > 0;
  const from = passed.length * view.pageSize + 1;
  const rows = page?.rows.length ?? 0;
  const total = page?.total == null ? "" : ` of ${count(page.total)}`;
  const back = (): void => {
    setView({ cursor: passed.at(-1) ?? null });
    setPassed(passed.slice(0, -1));
  };
  const next = (): void => {
    setPassed([...passed, view.cursor]);
    setView({ cursor: page?.next_cursor ?? null });
  };
  return (
    <div className="ew-row" role="group" aria-label="Pages">
      <span className="ew-soft" role="status">
        {rows === 0
          ? "no rows"
          : known
            ? `rows ${count(from)}–${count(from + rows - 1)}${total}`
            : `${count(rows)} rows${total}`}
      </span>
      <Button
        variant="icon"
        iconName="angle-left"
        ariaLabel={known ? "Previous page" : "First page"}
        disabled={first}
        onClick={back}
      />
      <Button
        variant="icon"
        iconName="angle-right"
        ariaLabel="Next page"
        disabled={!page?.next_cursor}
        onClick={next}
      />
    </div>
  );
}
