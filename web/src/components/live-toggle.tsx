import Button from "@cloudscape-design/components/button";
import Badge from "@cloudscape-design/components/badge";
import type { Window } from "../api/types";
import { clock, moment } from "../domain/format";
import { isLive, type Range } from "../domain/range";
import { useAway } from "../state/reach";

interface Properties {
  range: Range;
  window: Window | null;
  connected: boolean;
  onChange: (range: Range) => void;
}

/** Pausing holds the range at the moment that is on screen, so the address shows others the same picture. */
export function LiveToggle({ range, window, connected, onChange }: Properties) {
  const away = useAway();
  if (window?.recorded)
    return (
      <div className="ew-row">
        <Badge color="severity-medium">Recorded</Badge>
        <span className="ew-soft">
          {moment(window.start_ns)} to {clock(window.end_ns)}
        </span>
      </div>
    );
  if (range.kind === "between") return null;
  const live = isLive(range);
  const at = window ? new Date(Math.floor(window.end_ns / 1e9) * 1000) : new Date();
  const toggle = (): void => onChange({ ...range, at: live ? at.toISOString().replace(".000Z", "Z") : null });
  const now = connected && away == null;
  const lost = away == null ? "Connecting …" : `No answer since ${clock(away * 1e6)} UTC; trying again`;
  const state = live ? (now ? "Live" : lost) : `Paused at ${window ? clock(window.end_ns) : "…"} UTC`;
  return (
    <div className="ew-row">
      <span className={`ew-pulse ${live && now ? "ew-pulse-on" : ""}`} aria-hidden="true" />
      <span className="ew-soft" role="status" data-testid="live">
        {state}
      </span>
      <Button
        variant="icon"
        iconName={live ? "pause" : "play"}
        ariaLabel={live ? "Pause automatic refresh" : "Resume automatic refresh"}
        onClick={toggle}
      />
    </div>
  );
}
