import { describe, expect, it } from "vitest";
import { clockText } from "./coverage";
import { coverage, mapEdge, nodeCoverage } from "./factories";
import { microseconds } from "./format";
import { health, lookedUp } from "./health";
import { hookReason } from "./hooks";

const figure = (name: string, edge = mapEdge("a/b", "c/d"), where = coverage()) =>
  health(edge, where).find((one) => one.name === name)?.cell;

describe("TCP health of an edge", () => {
  it("shows what is known, zero included", () => {
    const edge = mapEdge("a/b", "c/d", { retransmits: 0, rtt_p50_us: 850, drops: 3 });
    expect(figure("Sent again", edge)).toEqual({ text: "0", why: null });
    expect(figure("Round trip, median", edge)?.text).toBe("850 µs");
    expect(figure("Packets dropped", edge)?.text).toBe("3");
  });

  it("says which node's kernel refused", () => {
    const hooks = [{ name: "sock_ops", state: "refused" as const, reason: "Operation not permitted", columns: [] }];
    const where = coverage({ nodes: [nodeCoverage("node-1", { hooks })] });
    expect(figure("Sent again", undefined, where)).toEqual({
      text: "–",
      why: "The hook sock_ops is not on everywhere. node-1: refused (Operation not permitted).",
    });
    expect(hookReason(where, "dns")).toBeNull();
  });

  it("blames only the nodes that could have told", () => {
    const refused = [{ name: "sock_ops", state: "refused" as const, reason: "EPERM", columns: [] }];
    const on = [{ name: "sock_ops", state: "on" as const, reason: null, columns: [] }];
    const where = coverage({ nodes: [nodeCoverage("a", { hooks: refused }), nodeCoverage("c1/b", { hooks: on })] });
    expect(hookReason(where, "sock_ops", ["b", null])).toBeNull();
    expect(hookReason(where, "sock_ops", ["b", "a"])).toBe(
      "The hook sock_ops is not on everywhere. a: refused (EPERM).",
    );
    expect(hookReason(where, "sock_ops", [null, undefined])).toContain("a: refused");
  });

  it("does not blame a hook for what UDP does not have", () => {
    expect(figure("Sent again", mapEdge("a/b", "c/d", { protocol: "UDP" }))?.why).toBe("UDP does not tell it.");
    expect(figure("Round trip, least")?.why).toBe("Nothing was measured in this range.");
  });

  it("names the target as it was looked up", () => {
    expect(lookedUp(mapEdge("a/b", "c/d", { dst_dns_name: "s3.example" }), coverage()).text).toBe("s3.example");
    expect(lookedUp(mapEdge("a/b", "c/d"), coverage()).why).toBe("No lookup of this address was seen.");
  });

  it("writes clocks against the server's", () => {
    const text = (clock_skew_ns: number | null) => clockText(nodeCoverage("a", { clock_skew_ns }));
    expect([text(2_500_000_000), text(-100_000_000), text(null)]).toEqual(["+2.5 s", "−0.1 s", "–"]);
  });

  it("writes times in the unit people use", () => {
    expect([12.4, 1234, 2_500_000].map(microseconds)).toEqual(["12 µs", "1.23 ms", "2.5 s"]);
  });
});
