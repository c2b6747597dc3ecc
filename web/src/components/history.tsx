import type { History } from "../api/types";
import { stepsOf, summaryOf } from "../domain/history";
import { rangeParameters, type Range } from "../domain/range";
import { clock } from "../domain/format";
import { useAnswer } from "../state/answer";

const [WIDTH, HEIGHT] = [340, 64];

/** What the filter selects, over time: a bar a step, marked where something was denied or failed. */
export function HistoryChart({ filter, range }: { filter: string; range: Range }) {
  const { data, problem } = useAnswer<History>("history", { filter, ...rangeParameters(range) });
  if (problem) return <p className="ew-soft ew-small">The history is not known: {problem.title}.</p>;
  if (!data) return <p className="ew-soft ew-small">Reading the history…</p>;
  const steps = stepsOf(data.points);
  const wide = WIDTH / Math.max(1, steps.length);
  return (
    <figure className="ew-history" data-testid="history">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`History: ${summaryOf(data.points)}`}>
        {steps.map(({ start, height, trouble, text }, at) => {
          const tall = height == null ? HEIGHT : Math.max(height > 0 ? 2 : 1, height * (HEIGHT - 10));
          const kind = height == null ? "unwatched" : (trouble ?? "plain");
          return (
            <g key={start}>
              <title>{text}</title>
              <rect x={at * wide} y={0} width={wide} height={HEIGHT} className="ew-step-back" />
              <rect
                x={at * wide + 1}
                y={HEIGHT - tall}
                width={Math.max(1, wide - 2)}
                height={tall}
                className={`ew-step ew-step-${kind}`}
              />
              {trouble && height != null && (
                <text x={at * wide + wide / 2} y={HEIGHT - tall - 2} textAnchor="middle" className={`ew-step-${kind}`}>
                  {trouble === "denied" ? "✕" : "!"}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <figcaption className="ew-soft ew-small">
        <span>{clock(data.window.start_ns)}</span>
        <span>{summaryOf(data.points)}</span>
        <span>{clock(data.window.end_ns)}</span>
      </figcaption>
    </figure>
  );
}
