import { Fragment } from "react";
import type { Hop } from "../../domain/path";

const SIGNS: Record<Hop["kind"], string> = { pod: "P", node: "N", service: "S", outside: "@" };

/** The way of a flow, from top to bottom; a denial stands where the packets end. */
export function Path({ hops }: { hops: readonly Hop[] }) {
  return (
    <ol className="ew-path" aria-label="Network path" data-testid="path">
      {hops.map(({ kind, name, place, leg, stopped }) => (
        <Fragment key={`${kind}${name}`}>
          <li className={`ew-hop${stopped ? " ew-hop-stopped" : ""}`}>
            <span className={`ew-hop-sign ew-hop-${kind}`} aria-hidden="true">
              {SIGNS[kind]}
            </span>
            <span>
              {name}
              {place && <span className="ew-note">{place}</span>}
              {stopped && <span className="ew-hop-why">✕ denied here by {stopped}</span>}
            </span>
          </li>
          {leg && <li className="ew-leg">{leg}</li>}
        </Fragment>
      ))}
    </ol>
  );
}
