/** Asks the server and keeps the last answer on screen while the next one is on its way. */
import { useEffect, useState } from "react";
import { ApiError, apiUrl, get, type Parameters } from "../api/client";
import type { Problem } from "../api/types";
import { useSession, wantToken } from "./session";

export interface Answer<T> {
  data: T | null;
  problem: Problem | null;
  /** The data answers an earlier question than the one being asked. */
  loading: boolean;
}

const RETRY_MS = 5000;

/** `tick` asks the same question again; a null path asks nothing. */
export function useAnswer<T>(path: string | null, parameters: Parameters, tick = 0): Answer<T> {
  const { signIns } = useSession();
  const [retries, setRetries] = useState(0);
  const url = path == null ? null : apiUrl(path, parameters);
  const [answer, setAnswer] = useState<Answer<T> & { url: string | null }>({
    data: null,
    problem: null,
    loading: true,
    url: null,
  });
  useEffect(() => {
    if (path == null || url == null) return undefined;
    const abort = new AbortController();
    let retry: ReturnType<typeof setTimeout> | undefined;
    get<T>(path, parameters, abort.signal).then(
      (data) => setAnswer({ data, problem: null, loading: false, url }),
      (error: unknown) => {
        if (!(error instanceof ApiError) || abort.signal.aborted) return;
        if (error.problem.status === 401) wantToken();
        const passing = error.problem.status === 0 || error.problem.status === 503;
        if (passing) retry = setTimeout(() => setRetries((n) => n + 1), RETRY_MS);
        setAnswer((before) => ({ data: passing ? before.data : null, problem: error.problem, loading: false, url }));
      },
    );
    return () => {
      abort.abort();
      clearTimeout(retry);
    };
    // The url says everything that path and parameters say.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [url, tick, signIns, retries]);
  return { data: answer.data, problem: answer.problem, loading: answer.loading || answer.url !== url };
}
