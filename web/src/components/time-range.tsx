import SegmentedControl from "@cloudscape-design/components/segmented-control";
import { lazy, Suspense, useState } from "react";
import { PRESETS, type Range } from "../domain/range";

const CustomRange = lazy(() => import("./custom-range"));

/** 5 min, 15 min, 1 h, or two moments in UTC. */
export function TimeRange({ range, onChange }: { range: Range; onChange: (range: Range) => void }) {
  const [choosing, setChoosing] = useState(false);
  const preset = range.kind === "last" ? PRESETS.find(({ seconds }) => seconds === range.seconds)?.id : undefined;
  const custom = choosing || range.kind === "between";
  return (
    <div className="ew-row">
      <SegmentedControl
        label="Time range"
        selectedId={custom ? "custom" : (preset ?? null)}
        options={[...PRESETS.map(({ id, text }) => ({ id, text })), { id: "custom", text: "Custom" }]}
        onChange={({ detail }) => {
          const chosen = PRESETS.find(({ id }) => id === detail.selectedId);
          setChoosing(!chosen);
          if (chosen) onChange({ kind: "last", seconds: chosen.seconds, at: null });
        }}
      />
      {custom && (
        <Suspense>
          <CustomRange
            range={range}
            onChange={(chosen) => {
              setChoosing(false);
              onChange(chosen);
            }}
          />
        </Suspense>
      )}
    </div>
  );
}
