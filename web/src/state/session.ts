/** Whether the server asked for its token; signing in makes every question be asked again. */
import { useSyncExternalStore } from "react";

interface SessionState {
  tokenWanted: boolean;
  signIns: number;
}

const listeners = new Set<() => void>();
let current: SessionState = { tokenWanted: false, signIns: 0 };

function change(next: SessionState): void {
  current = next;
  for (const listener of listeners) listener();
}

export function wantToken(): void {
  if (!current.tokenWanted) change({ ...current, tokenWanted: true });
}

/** Until the next question is refused. */
export const dismissToken = (): void => change({ ...current, tokenWanted: false });

export const signedIn = (): void => change({ tokenWanted: false, signIns: current.signIns + 1 });

export function useSession(): SessionState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
