/** Calls to the server. Every failure is an ApiError whose problem says what to change. */
import type { Problem, Session } from "./types";

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

export type Parameters = Readonly<Record<string, string | number | null | undefined>>;

export function apiUrl(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value != null && value !== "") query.set(name, String(value));
  const text = query.toString();
  return `/api/v1/${path}${text ? `?${text}` : ""}`;
}

function isProblem(body: unknown): body is Problem {
  return (
    typeof body === "object" && body !== null && "detail" in body && typeof body.detail === "string" && "status" in body
  );
}

async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  if (isProblem(body)) return body;
  return {
    title: response.statusText || "error",
    detail: `The server answered ${response.status} without saying why.`,
    status: response.status,
  };
}

const unreachable = (): Problem => ({
  title: "server unreachable",
  detail: "The server does not answer. What is shown may be old; it is asked again shortly.",
  status: 0,
});

async function request(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers: { Accept: "application/json", ...init.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(unreachable());
  }
  if (!response.ok) throw new ApiError(await problemOf(response));
  return response;
}

/** The caller names the type that the API's description gives for this address, made by `apiUrl`. */
export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  const response = await request(url, signal ? { signal } : {});
  return (await response.json()) as T;
}

/** A change: the caller names the type that the API's description gives for its answer. */
export async function send<T>(method: "PUT" | "POST", path: string, body: unknown = {}): Promise<T> {
  const init = { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await (await request(apiUrl(path), init)).json()) as T;
}

/** Trades the server's token for a cookie. */
export async function signIn(token: string): Promise<Session> {
  const init = { method: "POST", body: JSON.stringify({ token }), headers: { "Content-Type": "application/json" } };
  return (await (await request(apiUrl("session"), init)).json()) as Session;
}
