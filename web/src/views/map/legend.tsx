/** What the drawing's lines and shapes mean, in words. */
export function Legend() {
  return (
    <details className="ew-legend">
      <summary>Legend</summary>
      <ul>
        <li>Arrow: from who opened the connection; width: bytes, logarithmic</li>
        <li>Dotted: DNS, what nodes themselves open (probes), and who calls nearly everybody (fan-out)</li>
        <li>Short dashes with a bar: opened, never answered</li>
        <li>Dashed red with a bar and ✕: denied by policy; long dashes and ◐: partly</li>
        <li>Purple dashes, hollow arrow and △: audit, enforcing would deny it</li>
        <li>Dash-dotted red with ✕ and a crossed arrow: the chosen policies would deny it</li>
        <li>
          Box: namespace, workload or pod, the badge says which; a loop: among themselves; barrel: AWS service; ellipse:
          internet; hexagon: node
        </li>
        <li>Dashed box: not identified, or folded (“+ n more”)</li>
      </ul>
    </details>
  );
}
