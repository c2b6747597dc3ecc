/** Asks the server and keeps the last answer on screen while the next one is on its way. */
import { useEffect, useRef, useState } from "react";
import { ApiError, apiUrl, get, type Parameters } from "../api/client";
import type { Problem } from "../api/types";
import { isPassing } from "../domain/passing";
import { reached } from "./reach";
import { useSession, wantToken } from "./session";

export interface Answer<T> {
  data: T | null;
  problem: Problem | null;
  /** The data answers an earlier question than the one being asked. */
  loading: boolean;
}

const RETRY_MS = 5000;
const NOTHING = { data: null, problem: null, loading: true, url: null };

/**
 * `tick` asks the same question again, once the answer under way is there: a slow server is not asked faster than it
 * answers. Another question takes the place of the one under way. A null path asks nothing.
 */
export function useAnswer<T>(path: string | null, parameters: Parameters, tick = 0): Answer<T> {
  const { signIns } = useSession();
  const url = path == null ? null : apiUrl(path, parameters);
  const [answer, setAnswer] = useState<Answer<T> & { url: string | null }>(NOTHING);
  const again = useRef<(() => void) | null>(null);
  useEffect(() => {
    if (url == null) return undefined;
    const abort = new AbortController();
    let retry: ReturnType<typeof setTimeout> | undefined;
    let state: "idle" | "asking" | "asked again" = "idle";
    const failed = (error: unknown): void => {
      if (!(error instanceof ApiError) || abort.signal.aborted) return;
      if (error.problem.status === 401) wantToken();
      const passing = isPassing(error.problem);
      if (passing) retry = setTimeout(ask, RETRY_MS);
      if (passing) reached(false);
      setAnswer((before) => ({ data: passing ? before.data : null, problem: error.problem, loading: false, url }));
    };
    const ask = (): void => {
      clearTimeout(retry);
      if (state !== "idle") {
        state = "asked again";
        return;
      }
      state = "asking";
      get<T>(url, abort.signal)
        .then((data) => {
          reached(true);
          setAnswer({ data, problem: null, loading: false, url });
        }, failed)
        .finally(() => {
          const more = state === "asked again" && !abort.signal.aborted;
          state = "idle";
          if (more) ask();
        });
    };
    again.current = ask;
    ask();
    return () => {
      abort.abort();
      clearTimeout(retry);
      again.current = null;
    };
  }, [url, signIns]);
  useEffect(() => {
    if (tick > 0) again.current?.();
  }, [tick]);
  return { data: answer.data, problem: answer.problem, loading: answer.loading || answer.url !== url };
}
