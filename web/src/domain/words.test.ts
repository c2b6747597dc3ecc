import { expect, test } from "vitest";
import { DEFAULT_COLUMNS, FLOW_COLUMNS, rowId } from "./columns";
import { apply, underline } from "./completion";
import { badge, gapsText, lostText, missingHooks } from "./coverage";
import { field, toCsv } from "./csv";
import { explainEmpty } from "./empty";
import { coverage, flowRow, mapEdge, mapNode, nodeCoverage, serviceMap, window } from "./factories";
import { both, edgeFilter, nodeFilter, quote, viewOf } from "./filter";
import { interpret } from "./keys";
import { connectionsText, directions, observed } from "./panel";
import { crossing } from "./zone";

const cell = (id: string, row = flowRow()) => FLOW_COLUMNS.find((column) => column.id === id)?.cell(row);

test("an edge becomes the filter that finds its flows", () => {
  const filter = edgeFilter(
    mapEdge("ui/ui", "S3"),
    mapNode("ui/ui"),
    mapNode("S3", { kind: "aws", region: "eu-west-1" }),
  );
  expect(filter).toBe(
    "src_namespace=ui and src_workload=ui and dst_aws_service=S3 and dst_region=eu-west-1 and protocol=TCP and dst_port=8080",
  );
  const outside = (name: string): string =>
    edgeFilter(mapEdge("a", "b"), mapNode(name, { kind: "internet" }), undefined);
  expect(outside("198.51.100.10")).toMatch(/^src_kind=internet and src_ip=198.51.100.10 and /);
  expect(outside("2001:db8::1")).toMatch(/^src_kind=internet and src_ip=2001:db8::1 and /);
  expect(outside("api.example.com")).toMatch(/^src_kind=internet and src_dns_name=api.example.com and /);
  expect(viewOf(mapNode("ui/ui"), mapNode("S3", { kind: "aws" }))).toBe("aws");
  expect(viewOf(mapNode("ui/ui"), undefined)).toBe("external");
  expect(nodeFilter(mapNode("ui/ui"))).toBe(
    "(src_namespace=ui and src_workload=ui) or (dst_namespace=ui and dst_workload=ui)",
  );
});

test("values are quoted and parts bracketed only where needed", () => {
  expect(quote('a "b"')).toBe('"a \\"b\\""');
  expect(both("a=1 or b=2", "c=3", " ")).toBe("(a=1 or b=2) and c=3");
  expect(both("a=1 or b=2")).toBe("a=1 or b=2");
});

test("a completion replaces the word before the cursor", () => {
  expect(apply("src_n and x=1", 5, 0, "src_namespace")).toEqual({ text: "src_namespace and x=1", cursor: 13 });
  expect(underline("ab cd", { message: "", position: 3, end: 5 })).toEqual({ before: "ab ", wrong: "cd", after: "" });
  expect(underline("ab", { message: "", position: 2, end: 2 }).wrong).toBe("\u00a0");
});

test("the badge never claims more than is known", () => {
  expect(badge(coverage())).toEqual({ text: "100 % accounted", tone: "success" });
  expect(badge(coverage({ complete: false, ratio: 0.9923, sentences: ["a", "b"] }))).toEqual({
    text: "99.2 % – 2 gaps",
    tone: "warning",
  });
  expect(badge(coverage({ complete: false, ratio: 1, sentences: ["a"] })).text).toBe("100 % – 1 gap");
  expect(badge(coverage({ ratio: null })).text).toBe("No reports");
  expect(badge(coverage({ complete: false, ratio: 0.5, unexplained_bytes: 7 })).tone).toBe("error");
});

test("losses, gaps and hooks are spelled out", () => {
  expect(
    lostText({
      map_full: { bytes: 10, packets: 1 },
      buffer: { bytes: 2000, packets: 3 },
      none: { bytes: 0, packets: 0 },
    }),
  ).toBe("buffer 2 kB, map full 10 B");
  expect(
    gapsText(
      nodeCoverage("a", {
        gaps_ns: [
          [0, 5e9],
          [10e9, 15e9],
        ],
      }),
    ),
  ).toBe("2 gaps, 10 s");
  expect(
    missingHooks(
      nodeCoverage("a", {
        hooks: [
          { name: "tcx", state: "on" },
          { name: "sock_ops", state: "refused", reason: "EPERM" },
        ],
      }),
    ),
  ).toEqual(["sock_ops refused: EPERM"]);
});

test("emptiness names its most specific cause", () => {
  const given = { coverage: coverage(), window: window(), filter: "", namespace: null, hidden: 0, what: "connections" };
  const quiet = coverage({
    hook_bytes: null,
    ratio: null,
    nodes: [nodeCoverage("a", { state: "silent", last_window_end_ns: 1e9, hook_bytes: null })],
  });
  expect(explainEmpty({ ...given, hidden: 3 }).remedy).toBe("show-hidden");
  expect(explainEmpty({ ...given, coverage: coverage({ nodes: [], hook_bytes: null }) }).title).toBe(
    "No agents are reporting",
  );
  expect(explainEmpty({ ...given, filter: "a=b" }).remedy).toBe("clear-filter");
  expect(explainEmpty({ ...given, coverage: quiet }).why).toMatch(/newest report ends at 00:00:01/);
  expect(explainEmpty({ ...given, namespace: "ui" }).remedy).toBe("all-namespaces");
  expect(
    explainEmpty({
      ...given,
      coverage: coverage({ nodes: [nodeCoverage("a"), nodeCoverage("b", { state: "silent" })] }),
    }).why,
  ).toMatch(/^b did not report/);
  expect(explainEmpty(given).why).toMatch(/nothing was sent/);
});

test("unknown is a dash with its reason", () => {
  expect(cell("service")).toMatchObject({ text: "–", why: expect.stringMatching(/own address/) });
  expect(cell("dst_pod", flowRow({ dst_pod: null, dst_kind: "internet" }))).toMatchObject({
    text: "–",
    why: "An address outside the cluster.",
  });
  expect(cell("bytes_forward", flowRow({ bytes_forward: 0 }))).toEqual({ text: "0 B", why: null });
  expect(cell("dst", flowRow({ dst_workload: null, dst_aws_service: "S3", dst_region: "eu-west-1" }))?.text).toBe(
    "S3 eu-west-1",
  );
  expect(cell("port", flowRow({ protocol: "ICMP", dst_port: 0 }))?.text).toBe("ICMP");
});

test("every default column exists and rows have their own identity", () => {
  const ids = new Set(FLOW_COLUMNS.map(({ id }) => id));
  expect(ids.size).toBe(FLOW_COLUMNS.length);
  for (const id of Object.values(DEFAULT_COLUMNS).flat()) expect(ids).toContain(id);
  expect(rowId(flowRow())).not.toBe(rowId(flowRow({ dst_port: 81 })));
});

test("CSV quotes, disarms formulas and leaves unknown empty", () => {
  expect(field('a,"b"')).toBe('"a,""b"""');
  expect(field("=1+1")).toBe("'=1+1");
  expect(toCsv([flowRow({ service: null })], ["src_workload", "service", "dst_port"])).toBe(
    "src_workload,service,dst_port\r\nui,,8080\r\n",
  );
});

test("keys: sequences, and silence while typing", () => {
  const press = (key: string, typing = false) => ({ key, modified: false, typing });
  expect(interpret(press("g"), null)).toEqual({ command: null, next: "g" });
  expect(interpret(press("f"), "g").command).toBe("flows");
  expect(interpret(press("f"), null).command).toBe("fit");
  expect(interpret(press("/", true), null).command).toBeNull();
  expect(interpret(press("Escape", true), null).command).toBe("close");
  expect(interpret({ ...press("f"), modified: true }, null).command).toBeNull();
});

test("zones: unknown stays unknown", () => {
  expect(crossing({ zone: "a" }, { zone: "a" }).kind).toBe("same-zone");
  expect(crossing({ zone: "a" }, { zone: "b" }).text).toBe("between zones: a → b");
  expect(crossing({ zone: "a", region: "r1" }, { zone: null, region: "r2" }).kind).toBe("inter-region");
  expect(crossing({ zone: "a" }, { zone: null }).kind).toBe("unknown");
});

test("an edge without new connections is older than the range", () => {
  expect(connectionsText(mapEdge("a", "b", { connections: 0 }))).toMatch(/since before/);
  expect(directions(mapEdge("a", "b", { bytes_forward: 9000 }), 900)[0]).toMatchObject({
    direction: "forward",
    bytes: "9 kB",
    rate: "10 B/s",
  });
});

test("rates are averaged over what was watched, not over silence before it", () => {
  expect(
    observed(serviceMap([mapEdge("a", "b", { first_seen_ns: 700e9 }), mapEdge("b", "c", { first_seen_ns: 800e9 })])),
  ).toEqual({ start_ns: 700e9, end_ns: 900e9 });
  expect(observed(serviceMap([mapEdge("a", "b", { first_seen_ns: -5 })])).start_ns).toBe(0);
  expect(observed(serviceMap([])).start_ns).toBe(0);
});
