import Button from "@cloudscape-design/components/button";
import Input, { type InputProps } from "@cloudscape-design/components/input";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import Toggle from "@cloudscape-design/components/toggle";
import type { RefObject } from "react";
import { percent, plural } from "../../domain/format";
import type { Graph } from "../../domain/graph";
import { HIDEABLE, type Hideable, type Level, type PolicyOverlay, type ViewState } from "../../domain/url";
import { VerdictSelect } from "../../components/verdict-select";
import { setView } from "../../state/view";

const TOGGLES: Record<Hideable, { text: string; title: string }> = {
  dns: { text: "DNS", title: "Lookups: everything to port 53" },
  probes: { text: "From nodes", title: "What nodes themselves open, such as health checks" },
  fanout: { text: "Fan-out", title: "Workloads that call at least half of all others, such as a metrics scraper" },
  external: { text: "External", title: "AWS services, the internet, and what is not identified" },
};

const OVERLAYS = [
  { id: "off", text: "No policies" },
  { id: "current", text: "Current" },
  { id: "generated", text: "Generated" },
];

interface Properties {
  view: ViewState;
  graph: Graph | null;
  search: RefObject<InputProps.Ref | null>;
}

function toggled(hide: readonly Hideable[], what: Hideable, shown: boolean): Hideable[] {
  return HIDEABLE.filter((other) => (other === what ? !shown : hide.includes(other)));
}

function Rest({ graph }: { graph: Graph | null }) {
  if (!graph || graph.rest.nodes === 0) return null;
  return (
    <span className="ew-soft">
      {plural(graph.rest.nodes, "more node")} folded, {percent(graph.rest.share)} of bytes{" "}
      <Button variant="inline-link" onClick={() => setView({ top: 1000 })}>
        Draw all
      </Button>
    </span>
  );
}

export function MapTools({ view, graph, search }: Properties) {
  return (
    <div className="ew-tools" role="group" aria-label="Map settings">
      <div className="ew-find">
        <Input
          ref={search}
          type="search"
          value={view.find}
          onChange={({ detail }) => setView({ find: detail.value }, true)}
          placeholder="Find in the map ( / )"
          ariaLabel="Find in the map"
          clearAriaLabel="Clear"
        />
      </div>
      <SegmentedControl
        label="Level"
        selectedId={view.level}
        options={[
          { id: "namespace", text: "Namespaces" },
          { id: "workload", text: "Workloads" },
          { id: "pod", text: "Pods" },
        ]}
        onChange={({ detail }) => setView({ level: detail.selectedId as Level, selected: null })}
      />
      {HIDEABLE.filter((what) => view.hide.includes(what) || graph?.hidden[what] !== 0).map((what) => (
        <Toggle
          key={what}
          checked={!view.hide.includes(what)}
          onChange={({ detail }) => setView({ hide: toggled(view.hide, what, detail.checked) })}
        >
          <span title={TOGGLES[what].title}>
            {TOGGLES[what].text}
            {graph ? ` (${graph.hidden[what]})` : ""}
          </span>
        </Toggle>
      ))}
      <SegmentedControl
        label="Policies"
        selectedId={view.policy}
        options={OVERLAYS}
        onChange={({ detail }) => setView({ policy: detail.selectedId as PolicyOverlay })}
      />
      <VerdictSelect value={view.verdict} onChange={(verdict) => setView({ verdict, selected: null })} />
      <Rest graph={graph} />
    </div>
  );
}
