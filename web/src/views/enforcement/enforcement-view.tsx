import Alert from "@cloudscape-design/components/alert";
import Spinner from "@cloudscape-design/components/spinner";
import type { Coverage, CurrentRollout, EnforcementStatus } from "../../api/types";
import { Empty, ProblemNotice } from "../../components/notices";
import { EVERY, summary } from "../../domain/enforcement";
import { clock } from "../../domain/format";
import { useAnswer } from "../../state/answer";
import { usePulse } from "../../state/pulse";
import { remedy } from "../../state/remedy";
import { Modes } from "./modes";
import { Postures } from "./posture";
import { Nodes, PoliciesInForce } from "./realised";
import { RolloutCard } from "./rollout";

const EVERY_MS = 2000;
const RECORDED = {
  title: "A recording enforces nothing",
  why: "Modes, posture and rollouts belong to a live cluster: connect the console to a live server.",
  remedy: null,
};

/** What is asked for, what is in force, and how it gets there. */
export default function EnforcementView({ coverage }: { coverage: Coverage | null }) {
  const recorded = coverage?.window.recorded;
  const live = recorded === false; // a recording answers neither, and is not asked
  const { beat, now } = usePulse(EVERY_MS);
  const status = useAnswer<EnforcementStatus>(live ? "enforcement" : null, {}, beat);
  const current = useAnswer<CurrentRollout>(live ? "rollouts/current" : null, {}, beat);
  if (recorded) return <Empty emptiness={RECORDED} onRemedy={remedy} />;
  const said = status.data ? summary(status.data) : null;
  const trouble = status.data?.trouble;
  const namespaces = status.data?.namespaces.map(({ namespace }) => namespace).filter((name) => name !== EVERY) ?? [];
  return (
    <main className="ew-overview" aria-busy={status.loading}>
      {status.problem && <ProblemNotice problem={status.problem} />}
      {!status.data && !status.problem && (
        <div className="ew-wait">
          <Spinner size="large" />
        </div>
      )}
      {said && (
        <p className="ew-headline" role="status" data-testid="enforcement-summary">
          {said.text}
        </p>
      )}
      {trouble && (
        <div className="ew-problem">
          <Alert type="error" header="The newest state of the cluster is not in force everywhere">
            {trouble.policy ? `${trouble.policy}: ` : ""}
            {trouble.message} (since {clock(trouble.since_ns)} UTC)
          </Alert>
        </div>
      )}
      {status.data && (
        <div className="ew-cards">
          {current.data && (
            <RolloutCard
              rollout={current.data.rollout ?? null}
              namespaces={[...new Set(namespaces)].sort()}
              onChanged={now}
            />
          )}
          <Modes status={status.data} onChanged={now} />
          <Nodes status={status.data} />
          <PoliciesInForce status={status.data} />
          <Postures status={status.data} onChanged={now} />
        </div>
      )}
      {current.problem && <ProblemNotice problem={current.problem} />}
    </main>
  );
}
