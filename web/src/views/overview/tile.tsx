import type { ReactNode } from "react";
import { Value } from "../../components/value";
import type { Tile, Tone } from "../../domain/overview";

const SIGNS: Record<Tone, string> = { plain: "", good: "✓", warn: "!", bad: "✕", unknown: "" };

/** One figure with what it means; opens what stands behind it. */
export function FigureTile({ tile, onOpen }: { tile: Tile; onOpen: () => void }) {
  const { title, figure, note, tone, why } = tile;
  return (
    <section className={`ew-tile ew-tile-${tone}`} aria-label={title} data-testid={`tile-${tile.id}`}>
      <h2>
        <button type="button" className="ew-open" onClick={onOpen}>
          {title}
        </button>
      </h2>
      <p className="ew-tile-figure">
        {SIGNS[tone] && (
          <span className="ew-tile-sign" aria-hidden="true">
            {SIGNS[tone]}
          </span>
        )}
        <Value text={figure} why={figure === "–" ? why : null} />
      </p>
      <p className="ew-soft ew-small">{note}</p>
      {why && <p className="ew-soft ew-small">{why}</p>}
    </section>
  );
}

export interface Bar {
  key: string;
  name: string;
  figure: ReactNode;
  note?: string;
  /** 0 to 1; none draws no bar. */
  share?: number;
  onOpen?: () => void;
}

/** A ranking: names, figures, and bars that only repeat the figures. */
export function Ranking({
  title,
  bars,
  empty,
  foot,
}: {
  title: string;
  bars: readonly Bar[];
  empty: string;
  foot?: string | undefined;
}) {
  return (
    <section className="ew-card" aria-label={title}>
      <h2>{title}</h2>
      {bars.length === 0 && <p className="ew-soft">{empty}</p>}
      <ol className="ew-bars">
        {bars.map(({ key, name, figure, note, share, onOpen }) => (
          <li key={key}>
            <div className="ew-bar-line">
              {onOpen ? (
                <button type="button" className="ew-open" onClick={onOpen}>
                  {name}
                </button>
              ) : (
                <span>{name}</span>
              )}
              <span className="ew-bar-figure">{figure}</span>
            </div>
            {share != null && (
              <div className="ew-bar-track" aria-hidden="true">
                <div className="ew-bar-fill" style={{ width: `${(100 * share).toFixed(1)}%` }} />
              </div>
            )}
            {note && <p className="ew-soft ew-small">{note}</p>}
          </li>
        ))}
      </ol>
      {foot && <p className="ew-soft ew-small">{foot}</p>}
    </section>
  );
}

/** Holds the place of a card whose answer is on its way. */
export function Waiting({ title }: { title: string }) {
  return (
    <section className="ew-card" aria-label={title} aria-busy="true">
      <h2>{title}</h2>
      <p className="ew-soft">Reading…</p>
    </section>
  );
}
