import Spinner from "@cloudscape-design/components/spinner";
import { Suspense, useEffect, useState, type MouseEvent } from "react";
import type { Coverage, Inventory } from "./api/types";
import { CoverageBadge } from "./components/coverage-badge";
import { LiveToggle } from "./components/live-toggle";
import { NamespaceSelect } from "./components/namespace-select";
import { TimeRange } from "./components/time-range";
import { TokenPrompt } from "./components/token-prompt";
import { TopBar } from "./components/top-bar";
import { isLive, rangeParameters } from "./domain/range";
import { useAnswer } from "./state/answer";
import { part } from "./state/parts";
import { useKeyboard } from "./state/keyboard";
import { useLive } from "./state/live";
import { useTheme } from "./state/theme";
import { setView, useView } from "./state/view";

const OverviewView = part(() => import("./views/overview/overview-view"));
const MapView = part(() => import("./views/map/map-view"));
const FlowsView = part(() => import("./views/flows/flows-view"));
const PoliciesView = part(() => import("./views/policies/policies-view"));
const EnforcementView = part(() => import("./views/enforcement/enforcement-view"));
const CoveragePanel = part(() => import("./components/coverage-panel"));
const Shortcuts = part(() => import("./components/shortcuts"));
const TITLES = {
  overview: "Overview",
  map: "Map",
  flows: "Flows",
  policies: "Policies",
  enforcement: "Enforcement",
} as const;

const VIEWS = {
  overview: OverviewView,
  map: MapView,
  flows: FlowsView,
  policies: PoliciesView,
  enforcement: EnforcementView,
} as const;

/** Past the bars at the top, for the keyboard. */
function skip(event: MouseEvent): void {
  event.preventDefault(); // the address is the view's
  const main = document.querySelector("main");
  main?.setAttribute("tabindex", "-1");
  main?.focus();
}

/** The frame around every view: navigation, time range, namespace, coverage, theme, keys. */
export function App() {
  const view = useView();
  const { theme, toggle } = useTheme();
  const [help, setHelp] = useState(false);
  const [recorded, setRecorded] = useState(false);
  const live = useLive(isLive(view.range) && !recorded);
  const coverage = useAnswer<Coverage>("coverage", rangeParameters(view.range), live.tick);
  const inventory = useAnswer<Inventory>("inventory", {}, Math.floor(live.tick / 5));
  const window = coverage.data?.window ?? null;
  if (window && window.recorded !== recorded) setRecorded(window.recorded);
  useKeyboard((command) => {
    if (
      command === "overview" ||
      command === "map" ||
      command === "flows" ||
      command === "policies" ||
      command === "enforcement"
    )
      setView({ page: command });
    else if (command === "help") setHelp(true);
    else return false;
    return true;
  });
  useEffect(() => {
    document.title = `${TITLES[view.page]}${view.namespace ? ` of ${view.namespace}` : ""} – eastwest`;
  }, [view.page, view.namespace]);
  const View = VIEWS[view.page];
  return (
    <div className="ew-shell">
      <a className="ew-skip" href="#content" onClick={skip}>
        Skip to the content
      </a>
      <TopBar view={view} dark={theme === "dark"} onTheme={toggle} onHelp={() => setHelp(true)}>
        <CoverageBadge coverage={coverage.data} onOpen={() => setView({ coverage: true })} />
      </TopBar>
      <div className="ew-bar" role="group" aria-label="What to look at">
        <TimeRange range={view.range} onChange={(range) => setView({ range, cursor: null })} />
        <NamespaceSelect
          known={inventory.data?.namespaces ?? []}
          value={view.namespace}
          onChange={(namespace) => setView({ namespace, cursor: null, selected: null, row: null, workload: null })}
        />
        <LiveToggle
          range={view.range}
          window={window}
          connected={live.connected}
          onChange={(range) => setView({ range })}
        />
      </div>
      <Suspense
        fallback={
          <div className="ew-wait">
            <Spinner size="large" />
          </div>
        }
      >
        <View view={view} coverage={coverage.data} theme={theme} tick={live.tick} />
      </Suspense>
      <Suspense>
        {view.coverage && coverage.data && (
          <CoveragePanel coverage={coverage.data} onClose={() => setView({ coverage: false })} />
        )}
        {help && <Shortcuts onClose={() => setHelp(false)} />}
      </Suspense>
      <TokenPrompt />
    </div>
  );
}
