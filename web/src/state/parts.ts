/** The console's pages come as files of their own: one that cannot be fetched is tried again, and none is waited for twice. */
import { lazy, type ComponentType } from "react";
import { reached } from "./reach";

const AGAIN_MS = 3000;
const AHEAD_MS = 1500;

type Module<P> = { default: ComponentType<P> };

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Fetches until it is there: while the server is away the frame around the page says so. */
async function patiently<P>(load: () => Promise<Module<P>>): Promise<Module<P>> {
  for (;;)
    try {
      return await load();
    } catch {
      reached(false);
      await pause(AGAIN_MS);
    }
}

/** A page by its file, fetched a little ahead of time, so that it opens while the server is away, too. */
export function part<P>(load: () => Promise<Module<P>>) {
  setTimeout(() => void load().catch(() => undefined), AHEAD_MS);
  return lazy(() => patiently(load));
}
