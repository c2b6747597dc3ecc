import { expect, test } from "vitest";
import { isLive, parseMoment, rangeParameters } from "./range";
import { DEFAULTS, formatUrl, parseUrl, type ViewState } from "./url";

const there = (state: ViewState): ViewState => {
  const url = new URL(formatUrl(state), "http://console");
  return parseUrl(url.pathname, url.search);
};

test("defaults make a short address", () => {
  expect(formatUrl(DEFAULTS)).toBe("/overview");
  expect(parseUrl("/", "")).toEqual(DEFAULTS);
});

test("a map restores exactly", () => {
  const state: ViewState = {
    ...DEFAULTS,
    page: "map",
    verdict: "denied",
    range: { kind: "last", seconds: 300, at: "2025-11-22T14:00:00Z" },
    namespace: "ui",
    level: "pod",
    hide: ["dns", "external"],
    top: 50,
    find: "cat a&b",
    selected: { kind: "edge", id: "ui/ui>catalog/catalog:TCP:8080" },
    coverage: true,
  };
  expect(there(state)).toEqual(state);
});

test("a table restores exactly", () => {
  const state: ViewState = {
    ...DEFAULTS,
    page: "flows",
    range: { kind: "between", start: "2025-11-22T13:00:00Z", end: "2025-11-22T14:00:00Z" },
    view: "all",
    verdict: "would-deny",
    filter: 'src_namespace=ui and dst_dns_name="a b"',
    sort: "dst_port",
    columns: ["src", "dst_ip"],
    pageSize: 100,
    cursor: "abc",
    row: "r~1",
  };
  expect(there(state)).toEqual(state);
});

test("policies restore exactly", () => {
  const state: ViewState = {
    ...DEFAULTS,
    page: "policies",
    namespace: "shop",
    workload: "shop/Deployment/orders",
    tab: "changes",
  };
  expect(there(state)).toEqual(state);
  const overlay: ViewState = { ...DEFAULTS, page: "map", policy: "generated" };
  expect(formatUrl(overlay)).toBe("/map?policy=generated");
  expect(there(overlay)).toEqual(overlay);
});

test("nonsense falls back to defaults", () => {
  const state = parseUrl("/elsewhere", "?range=yes&level=galaxy&hide=all&top=-1&size=x&start=2025&view=none&at=later");
  expect(state).toEqual(DEFAULTS);
});

test("a range becomes the API's parameters", () => {
  expect(rangeParameters({ kind: "last", seconds: 900, at: null })).toEqual({ window: "15m" });
  expect(rangeParameters({ kind: "last", seconds: 300, at: "2025-11-22T14:00:00Z" })).toEqual({
    start: "2025-11-22T13:55:00.000Z",
    end: "2025-11-22T14:00:00Z",
  });
  expect(isLive({ kind: "last", seconds: 300, at: "2025-11-22T14:00:00Z" })).toBe(false);
  expect(parseMoment("2025-11-22T15:00:00+01:00")).toBe("2025-11-22T14:00:00Z");
});
