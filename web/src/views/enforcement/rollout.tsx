import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import type { Rollout, RolloutFlow } from "../../api/types";
import { Confirm } from "../../components/confirm";
import { actions, MODE, progress, progressText, rolloutFlowText, rolloutStatus } from "../../domain/enforcement";
import { clock, plural } from "../../domain/format";
import { useChange } from "../../state/change";
import { StartRollout } from "./start-rollout";

type Act = "start" | "pause" | "resume" | "abort";
const ACTS: Record<Exclude<Act, "start">, { text: string; what: string }> = {
  pause: {
    text: "Pause the rollout",
    what: "It stays at the step in force; the gates still watch, and still take it back.",
  },
  resume: { text: "Resume the rollout", what: "It goes on, or tries the step again that a gate stopped." },
  abort: {
    text: "Abort the rollout",
    what: "Every namespace goes back to the mode it had before the rollout, at once.",
  },
};

function Act({ act, onDone, onClose }: { act: Exclude<Act, "start">; onDone: () => void; onClose: () => void }) {
  const change = useChange();
  const { text, what } = ACTS[act];
  return (
    <Confirm
      title={text}
      act={text}
      change={change}
      onConfirm={() => change.run("POST", `rollouts/current/${act}`, {}, onDone)}
      onClose={onClose}
    >
      <p>{what}</p>
    </Confirm>
  );
}

function Flow({ flow }: { flow: RolloutFlow }) {
  return (
    <details className="ew-denied">
      <summary>
        {rolloutFlowText(flow)}
        {flow.seen_connections > 0 ? `; ${plural(flow.seen_connections, "connection")} seen before` : ""}
      </summary>
      {flow.missing ? (
        <>
          <p className="ew-soft ew-small">What is missing, ready to apply:</p>
          <pre className="ew-yaml" tabIndex={0}>
            {flow.missing}
          </pre>
        </>
      ) : (
        <p className="ew-soft ew-small">No NetworkPolicy can say what is missing.</p>
      )}
    </details>
  );
}

/** What a gate found, and what was taken back: the report of what would have broken. */
function Stops({ rollout }: { rollout: Rollout }) {
  return rollout.stops
    .map((stop) => (
      <section key={stop.at_ns} className="ew-ruling ew-ruling-denied" aria-label="What would have broken">
        <h3>
          ✕ {clock(stop.at_ns)} UTC: step “{stop.step}” was stopped
          {stop.rolled_back.length ? `; taken back: ${stop.rolled_back.join(", ")}` : ""}
        </h3>
        <ul>
          {stop.findings.map((found, index) => (
            <li key={`${index} ${found.text}`}>
              <strong>{found.gate}</strong>: {found.text}
              {found.flow && <Flow flow={found.flow} />}
            </li>
          ))}
        </ul>
      </section>
    ))
    .reverse();
}

function Steps({ rollout }: { rollout: Rollout }) {
  const signs = { waiting: "○", applied: "✓", current: "▶" } as const;
  return (
    <ol className="ew-steps">
      {rollout.steps.map((step, index) => (
        <li key={`${index} ${step.name}`} aria-current={step.state === "current" ? "step" : undefined}>
          <span aria-hidden="true">{signs[step.state]}</span> {step.name}
          {!step.name.startsWith(step.mode) && (
            <span className="ew-soft ew-small">
              {" "}
              {MODE[step.mode].word} on {step.nodes ? step.nodes.join(", ") : "every node"}
            </span>
          )}
        </li>
      ))}
    </ol>
  );
}

function Shown({ rollout }: { rollout: Rollout }) {
  const { sign, word, tone } = rolloutStatus(rollout);
  const done = progress(rollout);
  return (
    <>
      <p role="status" className={`ew-rollout-state ew-rollout-${tone}`}>
        <strong>
          {sign} {word}
        </strong>
        : {rollout.namespaces.join(", ")} to {rollout.to}. {progressText(rollout)}.
      </p>
      <div
        className="ew-bar-track"
        role="progressbar"
        aria-label="Progress of the rollout"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * done)}
      >
        <div className="ew-bar-fill" style={{ width: `${(100 * done).toFixed(1)}%` }} />
      </div>
      {rollout.trouble && <p className="ew-removed">Nobody can look at present, so nothing moves: {rollout.trouble}</p>}
      <Steps rollout={rollout} />
      <Stops rollout={rollout} />
      {rollout.not_seen_before.length > 0 && (
        <details>
          <summary>
            {plural(rollout.not_seen_before.length, "flow")} denied that nobody had seen before: no reason to stop
          </summary>
          {rollout.not_seen_before.map((flow, index) => (
            <Flow key={`${index} ${flow.src} ${flow.dst}`} flow={flow} />
          ))}
        </details>
      )}
      {rollout.events.length > 0 && (
        <details>
          <summary>What happened</summary>
          <ul className="ew-plain ew-small">
            {[...rollout.events].reverse().map((event, index) => (
              <li key={`${event.at_ns} ${index}`}>
                {clock(event.at_ns)} UTC: {event.text}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

interface Properties {
  rollout: Rollout | null;
  namespaces: readonly string[];
  onChanged: () => void;
}

/** The rollout under way, or the last one, with its gates' findings. */
export function RolloutCard({ rollout, namespaces, onChanged }: Properties) {
  const [act, setAct] = useState<Act | null>(null);
  const close = (): void => setAct(null);
  const done = (): void => {
    close();
    onChanged();
  };
  return (
    <section className="ew-card ew-wide" aria-label="Rollout">
      <div className="ew-card-head">
        <h2>Rollout</h2>
        <div className="ew-row">
          {actions(rollout).map((one) => (
            <Button
              key={one}
              variant={one === "start" || one === "resume" ? "primary" : "normal"}
              onClick={() => setAct(one)}
            >
              {one === "start" ? "Start a rollout" : ACTS[one].text}
            </Button>
          ))}
        </div>
      </div>
      {rollout ? (
        <Shown rollout={rollout} />
      ) : (
        <p className="ew-soft">
          No rollout so far. One moves namespaces from off to audit to enforce, a few nodes at a time, and takes a step
          back on its own when something breaks.
        </p>
      )}
      {act === "start" && <StartRollout known={namespaces} onDone={done} onClose={close} />}
      {act && act !== "start" && <Act act={act} onDone={done} onClose={close} />}
    </section>
  );
}
