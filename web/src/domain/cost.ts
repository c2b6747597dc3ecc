/** Amounts of money, never without what they rest on. */
import type { MapEdge, PricesUsed } from "../api/types";
import type { Cell } from "./cell";
import { bytes, UNKNOWN } from "./format";

export type Priced = Pick<MapEdge, "cost" | "unpriced_bytes" | "unpriced_reason">;

const REASONS: Record<NonNullable<Priced["unpriced_reason"]>, string> = {
  no_price_table: "the server has no price table (--prices)",
  end_unknown: "an end is not known",
  zone_unknown: "a zone is not known",
  region_unknown: "a region is not known",
};

/** Three significant digits, without a currency: 0.0123; below a hundredth of a cent only that. */
export function amount(cost: number): string {
  if (cost === 0) return "0";
  if (cost < 0.0001) return "< 0.0001";
  return cost >= 100 ? cost.toFixed(2) : Number(cost.toPrecision(3)).toString();
}

/** "0.0123 USD"; "≥" where a part has no price; a dash with the reason where nothing has. */
export function costCell(priced: Priced, currency = ""): Cell {
  const why = priced.unpriced_reason ? REASONS[priced.unpriced_reason] : null;
  if (priced.cost == null) return { text: UNKNOWN, why: `Not priced: ${why ?? "its price is not known"}.` };
  const text = [amount(priced.cost), currency].filter(Boolean).join(" ");
  if (!priced.unpriced_bytes) return { text, why: null };
  const least = priced.cost < 0.0001 ? ["≥ 0", currency].filter(Boolean).join(" ") : `≥ ${text}`;
  return { text: least, why: `${bytes(priced.unpriced_bytes)} of it have no price: ${why ?? "not known"}.` };
}

/** What amounts rest on, in one sentence. */
export function pricesText(prices: PricesUsed | null | undefined): string {
  if (!prices) return "The server has no price table (--prices), so costs are not known.";
  return `Estimated by the price table “${prices.name}” of ${prices.as_of} (${prices.source}), in ${prices.currency}.`;
}
