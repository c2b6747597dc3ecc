import Tabs from "@cloudscape-design/components/tabs";
import type { PolicyText, WorkloadPolicy } from "../../api/types";
import { count, duration, plural } from "../../domain/format";
import { LEARNING } from "../../domain/policies";
import type { PolicyTab } from "../../domain/url";
import { setView } from "../../state/view";
import { Evidence } from "./evidence";
import { Yaml } from "./yaml";

/** Up to so many ends are in the sentence itself. */
const NAMED = 6;

function Texts({ title, texts, none }: { title: string; texts: readonly PolicyText[]; none: string }) {
  return (
    <section className="ew-column">
      <h3>{title}</h3>
      {texts.length === 0 && <p className="ew-soft">{none}</p>}
      {texts.map((text) => (
        <Yaml key={text.name} name={text.name} text={text.yaml} />
      ))}
    </section>
  );
}

function SideBySide({ workload }: { workload: WorkloadPolicy }) {
  return (
    <div className="ew-columns">
      <Texts
        title="Current"
        texts={workload.current}
        none="No NetworkPolicy in force selects it, so every connection is allowed."
      />
      <Texts
        title="Generated"
        texts={workload.generated ? [workload.generated] : []}
        none="It was not seen to talk, so it has no policy of its own; the default deny of its namespace closes it."
      />
    </div>
  );
}

function Changes({ workload }: { workload: WorkloadPolicy }) {
  if (workload.changes.length === 0)
    return <p className="ew-soft">No difference: generated and current policies permit the same connections.</p>;
  return (
    <ul className="ew-changes" aria-label="What changes">
      {workload.changes.map((change) => (
        <li key={`${change.change}${change.direction}${change.ports}`} className={`ew-${change.change}`}>
          <span aria-hidden="true" className="ew-change-sign">
            {change.change === "added" ? "+" : "−"}
          </span>
          {change.sentence}
          {change.peers.length > NAMED && (
            <details>
              <summary>Which ones</summary>
              {change.peers.join(", ")}
              {change.more_peers > 0 && ` and ${change.more_peers} more`}
            </details>
          )}
        </li>
      ))}
    </ul>
  );
}

function Unseen({ workload }: { workload: WorkloadPolicy }) {
  const { not_observed, gaps, started } = workload;
  const lines = [
    ...(workload.learning === "not-run" ? ["No pod of it ran in this range."] : []),
    ...not_observed.map((direction) => `No ${direction} was seen: the default deny of the namespace closes it.`),
    ...gaps.map((gap) => `Not recorded: ${gap}.`),
    ...(started === 0 ? ["None of its pods started in this range: what only a start needs was not seen."] : []),
  ];
  if (lines.length === 0) return <p>Both directions and a start were seen, and nothing is missing from the record.</p>;
  return (
    <ul className="ew-sentences">
      {lines.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}

/** One workload: its policies, what changes, what they rest on, and what was not seen. */
export function WorkloadDetails({ workload, tab }: { workload: WorkloadPolicy; tab: PolicyTab }) {
  const { sign, word } = LEARNING[workload.learning];
  return (
    <>
      <h2>
        {workload.namespace} / {workload.name} <span className="ew-soft">{workload.kind}</span>
      </h2>
      <p>
        <strong>
          <span className={`ew-sign ew-sign-${workload.learning}`} aria-hidden="true">
            {sign}
          </span>{" "}
          {word}
        </strong>
        : {workload.learning_text} Watched {duration(workload.watched_seconds)} over {plural(workload.pods, "pod")}.
      </p>
      <Tabs
        ariaLabel="About this workload"
        activeTabId={tab}
        onChange={({ detail }) => setView({ tab: detail.activeTabId as PolicyTab })}
        tabs={[
          { id: "yaml", label: "Current and generated", content: <SideBySide workload={workload} /> },
          {
            id: "changes",
            label: `Changes (${count(workload.changes.length)})`,
            content: <Changes workload={workload} />,
          },
          {
            id: "evidence",
            label: `Evidence (${plural(workload.rules.length, "rule")})`,
            content: <Evidence rules={workload.rules} />,
          },
          { id: "unseen", label: "Not observed", content: <Unseen workload={workload} /> },
        ]}
      />
    </>
  );
}
