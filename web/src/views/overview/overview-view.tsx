import Spinner from "@cloudscape-design/components/spinner";
import type { Costs, Coverage, EnforcementStatus, FlowPage, Overview, ServiceMap, Top } from "../../api/types";
import { Empty, ProblemNotice } from "../../components/notices";
import { explainEmpty } from "../../domain/empty";
import { coverageTile, crossZoneTile, dnsTile, policyTile, retransmitTile, trafficTile } from "../../domain/overview";
import { rangeParameters } from "../../domain/range";
import type { ViewState } from "../../domain/url";
import { useAnswer } from "../../state/answer";
import { remedy } from "../../state/remedy";
import { setView } from "../../state/view";
import { CrossZone, Denied, Enforcement, LookupErrors, Payers, SentAgain, Talkers } from "./rankings";
import { FigureTile, Waiting } from "./tile";

const SENT_AGAIN = "retransmits_established>0 or retransmits_syn>0";

interface Properties {
  view: ViewState;
  coverage: Coverage | null;
  tick: number;
}

/** Everything at a glance; each figure opens what stands behind it. */
export default function OverviewView({ view, coverage, tick }: Properties) {
  const asked = { namespace: view.namespace, ...rangeParameters(view.range) };
  const { data, problem, loading } = useAnswer<Overview>("overview", asked, tick);
  const slow = Math.floor(tick / 2);
  const top = useAnswer<Top>("top", { ...asked, by: "workload", limit: 6 }, slow);
  const costing = useAnswer<Costs>("costs", { ...asked, by: "workload", limit: 6 }, slow);
  const costs = costing.data;
  const again = { ...asked, filter: SENT_AGAIN, sort: "-retransmits_established", limit: 6 };
  const sentAgain = useAnswer<FlowPage>("flows", again, slow).data;
  const denied = useAnswer<ServiceMap>("service-map", { ...asked, verdict: "denied" }, tick);
  const recorded = data?.window.recorded ?? true;
  const status = useAnswer<EnforcementStatus>(recorded ? null : "enforcement", {}, tick).data;
  const flows = (patch: Partial<ViewState>): void =>
    setView({
      page: "flows",
      view: "all",
      filter: "",
      verdict: null,
      cursor: null,
      row: null,
      columns: null,
      ...patch,
    });
  const empty = data && data.edges === 0;
  const circumstances = {
    coverage,
    window: data?.window ?? null,
    filter: "",
    namespace: view.namespace,
    hidden: 0,
    what: "connections",
  };
  return (
    <main className="ew-overview" aria-busy={loading}>
      {problem && <ProblemNotice problem={problem} />}
      {!data && !problem && (
        <div className="ew-wait">
          <Spinner size="large" />
        </div>
      )}
      {data && !empty && (
        <div className="ew-tiles">
          <FigureTile tile={trafficTile(data)} onOpen={() => setView({ page: "map", selected: null })} />
          {costs && (
            <FigureTile
              tile={crossZoneTile(costs)}
              onOpen={() => flows({ filter: "category in (inter_zone, inter_region)", sort: "-bytes_reverse" })}
            />
          )}
          <FigureTile
            tile={policyTile(data)}
            onOpen={() =>
              flows({ verdict: data.denied_edges === 0 && data.would_deny_edges ? "would-deny" : "denied" })
            }
          />
          <FigureTile
            tile={retransmitTile(data, coverage)}
            onOpen={() => flows({ filter: SENT_AGAIN, sort: "-retransmits_established" })}
          />
          <FigureTile tile={dnsTile(data, coverage)} onOpen={() => flows({ filter: "dst_port=53" })} />
          {coverage && <FigureTile tile={coverageTile(coverage)} onOpen={() => setView({ coverage: true })} />}
        </div>
      )}
      {data && !empty && (
        <div className="ew-cards">
          {top.data ? <Talkers top={top.data} /> : top.loading && <Waiting title="Top talkers" />}
          {costs ? <CrossZone costs={costs} /> : costing.loading && <Waiting title="Cross-zone traffic and cost" />}
          {data.policy_denied != null && denied.data && <Denied map={denied.data} />}
          {costs && <Payers costs={costs} />}
          {status && <Enforcement status={status} />}
          {data.retransmits != null && sentAgain && <SentAgain page={sentAgain} />}
          {data.dns.lookups != null && <LookupErrors dns={data.dns} />}
        </div>
      )}
      {empty && <Empty emptiness={explainEmpty(circumstances)} onRemedy={remedy} />}
    </main>
  );
}
