/** Whether the server answers, and since when it does not. */
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let awaySince: number | null = null;

/** Every question tells how it went. */
export function reached(answered: boolean): void {
  if (answered === (awaySince == null)) return;
  awaySince = answered ? null : Date.now();
  for (const listener of listeners) listener();
}

/** Milliseconds since the epoch; null while it answers. */
export function useAway(): number | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => awaySince,
  );
}
