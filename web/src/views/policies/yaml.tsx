/** A manifest as it is; focusable, so that it scrolls by keyboard. */
export function Yaml({ name, text }: { name: string; text: string }) {
  return (
    <figure className="ew-figure">
      <figcaption className="ew-soft ew-small">{name}</figcaption>
      <pre className="ew-yaml" tabIndex={0} aria-label={`YAML of ${name}`}>
        {text}
      </pre>
    </figure>
  );
}
