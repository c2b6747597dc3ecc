import type { InputProps } from "@cloudscape-design/components/input";
import Spinner from "@cloudscape-design/components/spinner";
import { useMemo, useRef, useState } from "react";
import type { Coverage, PolicyEdge, PolicyEffect, ServiceMap } from "../../api/types";
import { Empty, ProblemNotice } from "../../components/notices";
import { SidePanel } from "../../components/side-panel";
import { explainEmpty } from "../../domain/empty";
import { findIn } from "../../domain/find";
import { buildGraph, type Graph } from "../../domain/graph";
import { judged, judgements } from "../../domain/policies";
import { rangeParameters, type Range } from "../../domain/range";
import type { Selected, ViewState } from "../../domain/url";
import { useAnswer } from "../../state/answer";
import { useKeyboard } from "../../state/keyboard";
import { remedy } from "../../state/remedy";
import type { Theme } from "../../state/theme";
import { setView } from "../../state/view";
import type { Canvas } from "./canvas";
import { Drawing } from "./drawing";
import { EdgePanel } from "./edge-panel";
import { Legend } from "./legend";
import { MapTools } from "./map-tools";
import { NodePanel } from "./node-panel";
import { Outline } from "./outline";
import { PolicyNote } from "./policy-note";
import { Zoom } from "./zoom";

interface Properties {
  view: ViewState;
  coverage: Coverage | null;
  theme: Theme;
  tick: number;
}

interface DetailsProperties {
  graph: Graph;
  map: ServiceMap;
  selected: Selected | null;
  effects: ReadonlyMap<string, PolicyEdge> | null;
  range: Range;
}

function Details({ graph, map, selected, effects, range }: DetailsProperties) {
  const close = (): void => setView({ selected: null });
  const edge = selected?.kind === "edge" ? graph.edges.find(({ id }) => id === selected.id) : undefined;
  const node = selected?.kind === "node" ? graph.nodes.find(({ id }) => id === selected.id) : undefined;
  if (edge) return <EdgePanel edge={edge} map={map} effects={effects} range={range} onClose={close} />;
  if (node) return <NodePanel node={node} graph={graph} onClose={close} />;
  if (!selected) return null;
  return (
    <SidePanel title="Not on this map" onClose={close}>
      <p>What was selected sent and received nothing in this range, or is hidden or folded: {selected.id}</p>
    </SidePanel>
  );
}

export default function MapView({ view, coverage, theme, tick }: Properties) {
  const { namespace, level, range, hide, top, find, selected, policy, verdict } = view;
  const asked = level === "namespace" ? "workload" : level;
  const {
    data: map,
    problem,
    loading,
  } = useAnswer<ServiceMap>("service-map", { namespace, level: asked, verdict, ...rangeParameters(range) }, tick);
  const effect = useAnswer<PolicyEffect>(
    policy === "off" ? null : "policies/effect",
    { namespace, level: asked, set: policy, ...rangeParameters(range) },
    Math.floor(tick / 10),
  );
  const shown = policy === "off" ? null : effect.data;
  const effects = useMemo(() => (shown ? judgements(shown) : null), [shown]);
  const canvas = useRef<Canvas>(null);
  const search = useRef<InputProps.Ref>(null);
  const [pointed, setPointed] = useState<string | null>(null);
  const plain = useMemo(() => (map ? buildGraph(map, { hide, top, level }) : null), [map, hide, top, level]);
  const graph = useMemo(() => (plain && effects ? judged(plain, effects) : plain), [plain, effects]);
  const found = useMemo(() => (graph ? findIn(graph, find) : null), [graph, find]);
  const question = loading ? null : [namespace, level, top, verdict, ...hide].join();
  const select = (chosen: Selected | null): void => setView({ selected: chosen });
  useKeyboard((command) => {
    if (command === "search") search.current?.focus();
    else if (command === "fit") canvas.current?.fit();
    else if (command === "larger") canvas.current?.zoom(1.4);
    else if (command === "smaller") canvas.current?.zoom(1 / 1.4);
    else if (command === "close" && selected) select(null);
    else return false;
    return true;
  });
  const point = (id: string | null): void => {
    setPointed(id);
    if (id) canvas.current?.show(id);
  };
  const empty = map && graph?.nodes.length === 0;
  const circumstances = {
    coverage: map?.coverage ?? coverage,
    window: map?.window ?? null,
    filter: verdict ? `verdict: ${verdict}` : "",
    namespace,
    hidden: map?.edges.length ?? 0,
    what: "connections",
  };
  return (
    <main className="ew-map" aria-busy={loading}>
      <MapTools view={view} graph={graph} search={search} />
      {problem && <ProblemNotice problem={problem} />}
      {policy !== "off" && effect.problem && <ProblemNotice problem={effect.problem} />}
      {policy !== "off" && <PolicyNote policy={policy} effect={shown} loading={effect.loading} />}
      {graph && map && !empty && (
        <div className="ew-map-body">
          <Outline graph={graph} found={found} selected={selected} onSelect={select} onPoint={point} />
          <div className="ew-stage">
            <Drawing
              graph={graph}
              question={question}
              selected={selected}
              found={found}
              pointed={pointed}
              theme={theme}
              canvasRef={canvas}
              onSelect={select}
            />
            <Zoom canvasRef={canvas} />
            <Legend />
          </div>
          <Details graph={graph} map={map} selected={selected} effects={effects} range={range} />
        </div>
      )}
      {empty && <Empty emptiness={explainEmpty(circumstances)} onRemedy={remedy} />}
      {!map && !problem && (
        <div className="ew-wait">
          <Spinner size="large" />
        </div>
      )}
    </main>
  );
}
