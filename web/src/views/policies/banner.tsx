import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import { apiUrl } from "../../api/client";
import type { Policies } from "../../api/types";
import { command, replayNotes, replayText } from "../../domain/policies";
import { rangeParameters, type Range } from "../../domain/range";
import { setView } from "../../state/view";

interface Properties {
  policies: Policies;
  namespace: string | null;
  range: Range;
}

/** Would anything break, and the folder to take away. */
export function Banner({ policies, namespace, range }: Properties) {
  const { replay, gaps } = policies;
  const parameters = rangeParameters(range);
  const accept = gaps.length > 0;
  const download = apiUrl("policies/download", { namespace, ...parameters, accept_gaps: accept ? "true" : null });
  const notes = replayNotes(replay);
  return (
    <div className="ew-banner" data-testid="replay">
      <Alert
        type={replay.denied.length ? "error" : accept ? "warning" : "success"}
        header={replayText(replay)}
        action={
          <div className="ew-row">
            <Button onClick={() => setView({ page: "map", policy: "generated", selected: null })}>
              Show on the map
            </Button>
            <Button variant="primary" iconName="download" href={download} download>
              {accept ? "Download despite gaps" : "Download"}
            </Button>
          </div>
        }
      >
        The generated policies, replayed over the very traffic they were learnt from
        {notes.length ? `; ${notes.join("; ")}` : ""}.{" "}
        {accept && "Coverage is incomplete: what was not recorded would be denied. "}
        In a terminal: <code>{command(parameters, namespace, accept)}</code>
      </Alert>
    </div>
  );
}
