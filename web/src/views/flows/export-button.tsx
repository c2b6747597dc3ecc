import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import { ApiError, type Parameters } from "../../api/client";
import { plural } from "../../domain/format";
import { exportCsv } from "./export";

/** Exports every matching row, not only the page on screen, and says how many. */
export function ExportButton({ question }: { question: Parameters }) {
  const [state, setState] = useState<{ busy: boolean; text: string }>({ busy: false, text: "" });
  const run = (): void => {
    setState({ busy: true, text: "" });
    exportCsv(question).then(
      ({ rows, complete }) =>
        setState({ busy: false, text: `${plural(rows, "row")} exported${complete ? "" : ", more exist"}` }),
      (error: unknown) =>
        setState({ busy: false, text: error instanceof ApiError ? error.problem.detail : "export failed" }),
    );
  };
  return (
    <>
      <span className="ew-soft" role="status">
        {state.text}
      </span>
      <Button iconName="download" onClick={run} loading={state.busy}>
        CSV
      </Button>
    </>
  );
}
