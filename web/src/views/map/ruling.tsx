import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import type { MapEdge, PolicyEffect, ServiceMap } from "../../api/types";
import { ProblemNotice } from "../../components/notices";
import { edgeId } from "../../domain/graph";
import { rangeParameters, type Range } from "../../domain/range";
import { deciders, missingLines, NOBODY, packetsText, WORDS } from "../../domain/verdict";
import { useAnswer } from "../../state/answer";

/** The missing rule as the server's policy engine writes it, from the records of the range. */
function MissingYaml({ edge, level, range }: { edge: MapEdge; level: ServiceMap["level"]; range: Range }) {
  const [asked, setAsked] = useState(false);
  const { data, problem, loading } = useAnswer<PolicyEffect>(asked ? "policies/effect" : null, {
    set: "current",
    level,
    ...rangeParameters(range),
  });
  if (!asked) return <Button onClick={() => setAsked(true)}>Show it as a policy</Button>;
  if (problem) return <ProblemNotice problem={problem} />;
  if (loading || !data) return <p className="ew-soft">Judging the recorded connections …</p>;
  const rule = data.edges.find((one) => edgeId(one) === edgeId(edge))?.missing_rule;
  if (!rule)
    return <p className="ew-soft">The policies known to the server allow it by now, or no NetworkPolicy can say it.</p>;
  return (
    <pre className="ew-yaml" tabIndex={0} aria-label="The missing rule, ready to apply">
      {rule}
    </pre>
  );
}

/** What the policies in force decided about one edge: at which end, by which rule, and what is missing. */
export function Ruling({ edge, level, range }: { edge: MapEdge; level: ServiceMap["level"]; range: Range }) {
  const { verdict } = edge;
  if (verdict == null) return <p className="ew-soft ew-small">No verdict. {NOBODY}</p>;
  const { sign, sentence } = WORDS[verdict];
  const missing = missingLines(edge);
  return (
    <section className={`ew-ruling ew-ruling-${verdict}`} aria-label="Verdict">
      <h3>
        {sign} {sentence}
      </h3>
      <p>Packets: {packetsText(edge)}</p>
      <ul className="ew-plain">
        {deciders(edge).map(({ end, denied, by }) => (
          <li key={end}>
            {end} {denied ? (verdict === "would_deny" ? "would be denied" : "denied") : "allowed"} by <code>{by}</code>
          </li>
        ))}
      </ul>
      {missing.length > 0 && (
        <>
          <h4>What is missing</h4>
          <ul>
            {missing.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
          <MissingYaml key={edgeId(edge)} edge={edge} level={level} range={range} />
        </>
      )}
    </section>
  );
}
