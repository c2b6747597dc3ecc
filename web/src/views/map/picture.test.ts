import { expect, test } from "vitest";
import { farLabel } from "./picture";

test("a small picture shows a name on two lines at most, cut where its words meet", () => {
  expect(farLabel("coredns")).toBe("coredns");
  expect(farLabel("orders-postgresql")).toBe("orders-\npostgresql");
  expect(farLabel("identity-postgresql-replica")).toBe("identity-\npostgresql-replica");
  expect(farLabel("a".repeat(30)).split("\n")).toHaveLength(2);
});
