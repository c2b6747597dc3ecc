import { expect, test } from "vitest";
import { byteRate, bytes, count, duration, moment, percent, perSecond, plural, UNKNOWN } from "./format";

test.each([
  [0, "0 B"],
  [1, "1 B"],
  [999, "999 B"],
  [1000, "1 kB"],
  [1_234_567, "1.23 MB"],
  [12_345_678, "12.3 MB"],
  [123_456_789, "123 MB"],
  [999_600, "1 MB"],
  [5e12, "5 TB"],
])("%d bytes read %s", (value, text) => expect(bytes(value)).toBe(text));

test("unknown is a dash, never 0", () => {
  expect([
    bytes(null),
    bytes(undefined),
    count(null),
    byteRate(null, 60),
    byteRate(1, 0),
    percent(null),
    moment(null),
    perSecond(null, 1),
  ]).toEqual(Array(8).fill(UNKNOWN));
});

test("rates carry their unit", () => {
  expect(byteRate(900_000, 900)).toBe("1 kB/s");
  expect(perSecond(90, 900)).toBe("0.1/s");
});

test("counts are grouped, then scaled", () => {
  expect(count(12_345)).toBe("12,345");
  expect(count(1_234_567)).toBe("1.23 M");
});

test("a percentage never rounds up to everything", () => {
  expect(percent(1)).toBe("100 %");
  expect(percent(0.99999)).toBe("99.9 %");
  expect(percent(0.992)).toBe("99.2 %");
  expect(percent(0.00001)).toBe("< 0.1 %");
  expect(percent(0)).toBe("0 %");
});

test("times are UTC", () => expect(moment(1_763_820_000e9)).toBe("2025-11-22 14:00:00 UTC"));

test("durations have two units at most", () => {
  expect(duration(3900)).toBe("1 h 5 min");
  expect(duration(0.25)).toBe("250 ms");
  expect(plural(1, "gap")).toBe("1 gap");
  expect(plural(2, "gap")).toBe("2 gaps");
});
