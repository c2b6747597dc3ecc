import Spinner from "@cloudscape-design/components/spinner";
import type { Coverage, Policies } from "../../api/types";
import { Empty, ProblemNotice } from "../../components/notices";
import { explainNoPolicies, workloadId } from "../../domain/policies";
import { rangeParameters } from "../../domain/range";
import type { ViewState } from "../../domain/url";
import { useAnswer } from "../../state/answer";
import { useKeyboard } from "../../state/keyboard";
import { remedy } from "../../state/remedy";
import { setView } from "../../state/view";
import { Banner } from "./banner";
import { Overview } from "./overview";
import { WorkloadDetails } from "./workload-details";
import { WorkloadList } from "./workload-list";

/** How many ticks of the live feed pass before policies are learnt afresh: they hold still under the reader. */
const CALM = 10;

export default function PoliciesView({
  view,
  coverage,
  tick,
}: {
  view: ViewState;
  coverage: Coverage | null;
  tick: number;
}) {
  const { namespace, workload, range } = view;
  const asked = { namespace, ...rangeParameters(range) };
  const { data: policies, problem, loading } = useAnswer<Policies>("policies", asked, Math.floor(tick / CALM));
  useKeyboard((key) => {
    if (key !== "close" || !workload) return false;
    setView({ workload: null });
    return true;
  });
  const chosen = policies?.workloads.find((one) => workloadId(one) === workload);
  const empty = policies?.workloads.length === 0;
  return (
    <main className="ew-policies" aria-busy={loading}>
      {problem && <ProblemNotice problem={problem} />}
      {policies && empty && <Empty emptiness={explainNoPolicies(policies, coverage, namespace)} onRemedy={remedy} />}
      {policies && !empty && (
        <>
          <Banner policies={policies} namespace={namespace} range={range} />
          <div className="ew-map-body">
            <WorkloadList workloads={policies.workloads} chosen={workload} />
            <div className="ew-policy-body" data-testid="policy-body">
              {chosen && <WorkloadDetails workload={chosen} tab={view.tab} />}
              {workload && !chosen && <p role="status">Not in this range or namespace: {workload}</p>}
              {!workload && <Overview policies={policies} />}
            </div>
          </div>
        </>
      )}
      {!policies && !problem && (
        <div className="ew-wait">
          <Spinner size="large" />
        </div>
      )}
    </main>
  );
}
