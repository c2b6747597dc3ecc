/** The one view state, kept in the address bar; `useView` reads it and changes it. */
import { useSyncExternalStore } from "react";
import { formatUrl, parseUrl, type ViewState } from "../domain/url";

const listeners = new Set<() => void>();
let current: ViewState = parseUrl(location.pathname, location.search);

function announce(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

window.addEventListener("popstate", () => {
  current = parseUrl(location.pathname, location.search);
  announce();
});

/** Changes part of the view. `replace` leaves no step in the browser's history (for typing). */
export function setView(patch: Partial<ViewState>, replace = false): void {
  const next = { ...current, ...patch };
  const url = formatUrl(next);
  if (url !== `${location.pathname}${location.search}`)
    if (replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
  current = next;
  announce();
}

export const useView = (): ViewState => useSyncExternalStore(subscribe, () => current);
