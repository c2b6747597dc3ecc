/** A figure, or a dash that says why it is unknown: on hover, on focus and to a screen reader. */
export function Value({ text, why }: { text: string; why: string | null }) {
  if (why == null) return <>{text}</>;
  return (
    <span className="ew-unknown" title={why} tabIndex={0} role="note" aria-label={`unknown: ${why}`}>
      {text}
    </span>
  );
}
