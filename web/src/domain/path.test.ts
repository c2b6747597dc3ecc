import { expect, test } from "vitest";
import { flowRow } from "./factories";
import { pathOf } from "./path";

const ui = {
  src_kind: "pod",
  src_namespace: "ui",
  src_pod: "ui-1",
  src_ip: "10.0.0.1",
  src_node: "node-1",
  src_zone: "a",
  src_region: null,
} as const;
const orders = {
  dst_kind: "pod",
  dst_namespace: "orders",
  dst_pod: "orders-1",
  dst_ip: "10.0.1.1",
  dst_node: "node-2",
  dst_zone: "b",
  dst_region: null,
} as const;
const plain = { protocol: "TCP", dst_port: 8080, cost: 0.5, egress_denied_by: null, ingress_denied_by: null } as const;
const none = { service: null, service_namespace: null, service_ip: null, service_port: null } as const;

test("a flow through a Service has three hops, ports as each is asked, and what it crosses", () => {
  const via = { service: "orders", service_namespace: "orders", service_ip: "10.96.0.1", service_port: 80 };
  const hops = pathOf(flowRow({ ...ui, ...orders, ...plain, ...via }), "USD");
  expect(hops.map(({ name }) => name)).toEqual(["ui/ui-1", "Service orders/orders", "orders/orders-1"]);
  expect(hops.map(({ leg }) => leg)).toEqual(["TCP 80", "TCP 8080, between zones: a → b, 0.5 USD", ""]);
  expect(hops[0]?.place).toBe("10.0.0.1, on node-1, a");
});

test("a denial stands at the end that denied", () => {
  const hops = pathOf(
    flowRow({ ...ui, ...orders, ...plain, ...none, ingress_denied_by: "NetworkPolicy orders/only-ui" }),
  );
  expect(hops.map(({ stopped }) => stopped)).toEqual([null, "NetworkPolicy orders/only-ui"]);
});

test("an end outside is named by what it was looked up as, with its address", () => {
  const outside = {
    dst_kind: "aws",
    dst_dns_name: "s3.amazonaws.com",
    dst_aws_service: "S3",
    dst_ip: "3.5.0.2",
    dst_region: "us-east-1",
    dst_zone: null,
    dst_node: null,
  } as const;
  const last = pathOf(flowRow({ ...ui, ...outside, ...plain, ...none, cost: null })).at(-1);
  expect(last).toMatchObject({ kind: "outside", name: "s3.amazonaws.com", place: "3.5.0.2, us-east-1, aws" });
});
