import { expect, test } from "vitest";
import { isPassing } from "./passing";

test("no answer, and what a proxy or a starting server says, passes; a refusal does not", () => {
  expect([0, 502, 503, 504].every((status) => isPassing({ status }))).toBe(true);
  expect([400, 401, 404, 500].some((status) => isPassing({ status }))).toBe(false);
});
