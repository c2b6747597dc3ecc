/** What the button of an empty state does. */
import type { Emptiness } from "../domain/empty";
import { setView } from "./view";

export function remedy(what: NonNullable<Emptiness["remedy"]>): void {
  switch (what) {
    case "clear-filter":
      return setView({ filter: "", verdict: null, cursor: null });
    case "all-namespaces":
      return setView({ namespace: null, cursor: null });
    case "longer":
      return setView({ range: { kind: "last", seconds: 3600, at: null }, cursor: null });
    case "show-hidden":
      return setView({ hide: [] });
    case "coverage":
      return setView({ coverage: true });
  }
}
