/** Whether the server asked for its token; signing in makes every question be asked again. */
import { useSyncExternalStore } from "react";

interface SessionState {
  tokenWanted: boolean;
  /** Closed without a token: not asked again until someone wants to. */
  dismissed: boolean;
  signIns: number;
}

const listeners = new Set<() => void>();
let current: SessionState = { tokenWanted: false, dismissed: false, signIns: 0 };

function change(next: SessionState): void {
  current = next;
  for (const listener of listeners) listener();
}

export function wantToken(): void {
  if (!current.tokenWanted && !current.dismissed) change({ ...current, tokenWanted: true });
}

export const dismissToken = (): void => change({ ...current, tokenWanted: false, dismissed: true });
export const askForToken = (): void => change({ ...current, tokenWanted: true, dismissed: false });

export const signedIn = (): void => change({ tokenWanted: false, dismissed: false, signIns: current.signIns + 1 });

export function useSession(): SessionState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
