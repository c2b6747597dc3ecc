/** Everything that decides what is on screen, to and from the address bar. Defaults are left out. */
import { DEFAULT_RANGE, formatLength, parseLength, parseMoment, type Range } from "./range";

export type Page = "overview" | "map" | "flows" | "policies" | "enforcement";
export type Level = "namespace" | "workload" | "pod";
export type FlowView = "cluster" | "aws" | "external" | "all";
/** Only edges that the policies decided so, at any end. */
export type VerdictFilter = "denied" | "would-deny" | "allowed";
export type Hideable = "dns" | "probes" | "fanout" | "external";
/** Whose effect the map shows: nothing, the policies in force, or those that traffic asks for. */
export type PolicyOverlay = "off" | "current" | "generated";
export type PolicyTab = "yaml" | "changes" | "evidence" | "unseen";
export type Selected = { kind: "node" | "edge"; id: string };

export interface ViewState {
  page: Page;
  range: Range;
  namespace: string | null;
  level: Level;
  hide: readonly Hideable[];
  top: number;
  find: string;
  policy: PolicyOverlay;
  verdict: VerdictFilter | null;
  selected: Selected | null;
  view: FlowView;
  filter: string;
  sort: string;
  columns: readonly string[] | null;
  pageSize: number;
  cursor: string | null;
  row: string | null;
  workload: string | null;
  tab: PolicyTab;
  coverage: boolean;
}

export const VERDICT_FILTERS: readonly VerdictFilter[] = ["denied", "would-deny", "allowed"];
export const HIDEABLE: readonly Hideable[] = ["dns", "probes", "fanout", "external"];
const PAGES: readonly Page[] = ["overview", "map", "flows", "policies", "enforcement"];
export const LEVELS: readonly Level[] = ["namespace", "workload", "pod"];
export const POLICY_TABS: readonly PolicyTab[] = ["yaml", "changes", "evidence", "unseen"];
export const DEFAULTS: ViewState = {
  page: "overview",
  range: DEFAULT_RANGE,
  namespace: null,
  level: "workload",
  hide: [],
  top: 100,
  find: "",
  policy: "off",
  verdict: null,
  selected: null,
  view: "cluster",
  filter: "",
  sort: "-bytes_forward",
  columns: null,
  pageSize: 50,
  cursor: null,
  row: null,
  workload: null,
  tab: "yaml",
  coverage: false,
};

function oneOf<T extends string>(text: string | null, choices: readonly T[], otherwise: T): T {
  return choices.find((choice) => choice === text) ?? otherwise;
}

function positive(text: string | null, otherwise: number, most: number): number {
  const value = Number(text);
  return text != null && Number.isInteger(value) && value > 0 && value <= most ? value : otherwise;
}

function parseRange(query: URLSearchParams): Range {
  const [start, end] = [parseMoment(query.get("start")), parseMoment(query.get("end"))];
  if (start && end && start < end) return { kind: "between", start, end };
  return { kind: "last", seconds: parseLength(query.get("range") ?? "") || 900, at: parseMoment(query.get("at")) };
}

function parseSelected(query: URLSearchParams): Selected | null {
  const [node, edge] = [query.get("node"), query.get("edge")];
  return edge ? { kind: "edge", id: edge } : node ? { kind: "node", id: node } : null;
}

/** Reads any address; what makes no sense falls back to its default. */
export function parseUrl(path: string, search: string): ViewState {
  const query = new URLSearchParams(search);
  const columns = query.get("cols")?.split(",").filter(Boolean) ?? null;
  return {
    page: oneOf(path.replace(/\/$/, "").split("/").pop() ?? null, PAGES, "overview"),
    range: parseRange(query),
    namespace: query.get("ns"),
    level: oneOf(query.get("level"), LEVELS, "workload"),
    hide: HIDEABLE.filter((what) => query.get("hide")?.split(",").includes(what)),
    top: positive(query.get("top"), DEFAULTS.top, 1000),
    find: query.get("find") ?? "",
    policy: oneOf(query.get("policy"), ["off", "current", "generated"], "off"),
    verdict: VERDICT_FILTERS.find((one) => one === query.get("verdict")) ?? null,
    selected: parseSelected(query),
    view: oneOf(query.get("view"), ["cluster", "aws", "external", "all"], "cluster"),
    filter: query.get("filter") ?? "",
    sort: query.get("sort") ?? DEFAULTS.sort,
    columns: columns?.length ? columns : null,
    pageSize: positive(query.get("size"), DEFAULTS.pageSize, 1000),
    cursor: query.get("cursor"),
    row: query.get("row"),
    workload: query.get("workload"),
    tab: oneOf(query.get("tab"), POLICY_TABS, "yaml"),
    coverage: query.get("panel") === "coverage",
  };
}

function shared(state: ViewState): [string, string | null][] {
  const { range } = state;
  const between = range.kind === "between";
  return [
    ["range", !between && range.seconds !== 900 ? formatLength(range.seconds) : null],
    ["at", between ? null : range.at],
    ["start", between ? range.start : null],
    ["end", between ? range.end : null],
    ["ns", state.namespace],
    ["panel", state.coverage ? "coverage" : null],
  ];
}

function ofMap(state: ViewState): [string, string | null][] {
  return [
    ["level", state.level === DEFAULTS.level ? null : state.level],
    ["hide", state.hide.length ? state.hide.join(",") : null],
    ["top", state.top === DEFAULTS.top ? null : String(state.top)],
    ["find", state.find || null],
    ["policy", state.policy === "off" ? null : state.policy],
    ["verdict", state.verdict],
    ["node", state.selected?.kind === "node" ? state.selected.id : null],
    ["edge", state.selected?.kind === "edge" ? state.selected.id : null],
  ];
}

function ofFlows(state: ViewState): [string, string | null][] {
  return [
    ["view", state.view === "cluster" ? null : state.view],
    ["verdict", state.verdict],
    ["filter", state.filter || null],
    ["sort", state.sort === DEFAULTS.sort ? null : state.sort],
    ["cols", state.columns ? state.columns.join(",") : null],
    ["size", state.pageSize === DEFAULTS.pageSize ? null : String(state.pageSize)],
    ["cursor", state.cursor],
    ["row", state.row],
  ];
}

function ofPolicies(state: ViewState): [string, string | null][] {
  return [
    ["workload", state.workload],
    ["tab", state.tab === DEFAULTS.tab ? null : state.tab],
  ];
}

const OF_PAGE = {
  overview: () => [] as [string, string | null][],
  map: ofMap,
  flows: ofFlows,
  policies: ofPolicies,
  enforcement: () => [] as [string, string | null][],
} as const;

/** The address of a state, such as `/map?ns=ui&edge=…`; carries only what its page shows. */
export function formatUrl(state: ViewState): string {
  const query = new URLSearchParams();
  for (const [key, value] of [...shared(state), ...OF_PAGE[state.page](state)])
    if (value != null) query.set(key, value);
  const text = query.toString();
  return `/${state.page}${text ? `?${text}` : ""}`;
}
