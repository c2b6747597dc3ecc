/** Server-sent events as a counter: it rises when new records became visible, at most every few seconds. */
import { useEffect, useState } from "react";
import { useSession } from "./session";

const LEAST_MS = 3000;
const POLL_MS = 15_000;
/** A browser gives up for good on an answer that is no stream: a proxy's 502, a refused token. We do not. */
const AGAIN_MS = 5000;

export interface Live {
  tick: number;
  connected: boolean;
}

/** Listens while `on`; without a connection it asks on its own now and then. */
export function useLive(on: boolean): Live {
  const { signIns } = useSession();
  const [tick, setTick] = useState(0);
  const [connected, setConnected] = useState(false);
  useEffect(() => {
    if (!on) return undefined;
    let last = 0;
    let waiting: ReturnType<typeof setTimeout> | undefined;
    const bump = (): void => {
      clearTimeout(waiting);
      waiting = setTimeout(
        () => {
          last = Date.now();
          setTick((n) => n + 1);
        },
        Math.max(0, last + LEAST_MS - Date.now()),
      );
    };
    let source: EventSource;
    let again: ReturnType<typeof setTimeout> | undefined;
    let lost = false;
    const listen = (): void => {
      source = new EventSource("/api/v1/events");
      source.addEventListener("open", () => {
        setConnected(true);
        if (lost) bump(); // what happened meanwhile was announced to nobody
        lost = false;
      });
      source.addEventListener("error", () => {
        setConnected(false);
        lost = true;
        if (source.readyState === EventSource.CLOSED) again = setTimeout(listen, AGAIN_MS);
      });
      source.addEventListener("flows", bump);
    };
    listen();
    const poll = setInterval(() => {
      if (source.readyState !== EventSource.OPEN || Date.now() - last > POLL_MS) bump();
    }, POLL_MS);
    return () => {
      source.close();
      clearInterval(poll);
      clearTimeout(again);
      clearTimeout(waiting);
      setConnected(false);
    };
  }, [on, signIns]);
  return { tick, connected };
}
