/** One change asked of the server: busy while under way, its problem when refused. */
import { useState } from "react";
import { ApiError, send } from "../api/client";
import type { Problem } from "../api/types";
import { wantToken } from "./session";

export interface Change {
  busy: boolean;
  problem: Problem | null;
  run: (method: "PUT" | "POST", path: string, body: unknown, done: () => void) => void;
}

export function useChange(): Change {
  const [state, setState] = useState<{ busy: boolean; problem: Problem | null }>({ busy: false, problem: null });
  const run: Change["run"] = (method, path, body, done) => {
    setState({ busy: true, problem: null });
    send(method, path, body).then(
      () => {
        setState({ busy: false, problem: null });
        done();
      },
      (error: unknown) => {
        const problem =
          error instanceof ApiError ? error.problem : { title: "failed", detail: String(error), status: 0 };
        if (problem.status === 401) wantToken();
        setState({ busy: false, problem });
      },
    );
  };
  return { ...state, run };
}
