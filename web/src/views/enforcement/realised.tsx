import type { EnforcementStatus } from "../../api/types";
import { isLate, nodeState, nodeTrouble } from "../../domain/enforcement";

const MOST = 200;

/** Per node: which plan is in force, and what the kernel cannot do. */
export function Nodes({ status }: { status: EnforcementStatus }) {
  return (
    <section className="ew-card" aria-label="Nodes">
      <h2>Nodes</h2>
      <ul className="ew-plain ew-states">
        {status.nodes.map((node) => {
          const trouble = nodeTrouble(node);
          const refused = node.capability.filter(({ state }) => state !== "on");
          const sign = node.sides === 0 ? "○" : isLate(node) ? "…" : "✓";
          return (
            <li key={node.node}>
              <span className="ew-sign" aria-hidden="true">
                {sign}
              </span>
              <strong>{node.node}</strong>: {node.sides === 0 ? "nothing to enforce" : nodeState(node)}
              {trouble && <p className="ew-soft ew-small">{trouble}</p>}
              {node.sides > 0 &&
                refused.map(({ name, state, reason }) => (
                  <p key={name} className="ew-soft ew-small">
                    {name} {state}
                    {reason ? `: ${reason}` : ""}
                  </p>
                ))}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** Per policy: on how many of the pods it selects it is in force. */
export function PoliciesInForce({ status }: { status: EnforcementStatus }) {
  return (
    <section className="ew-card" aria-label="Policies in force">
      <h2>Policies</h2>
      {status.policies.length === 0 && <p className="ew-soft">No policies are known.</p>}
      <ul className="ew-plain ew-states">
        {status.policies.slice(0, MOST).map(({ policy, tier, pods, in_force: done, text }) => (
          <li key={`${tier} ${policy}`}>
            <span className="ew-sign" aria-hidden="true">
              {pods === 0 ? "○" : done >= pods ? "✓" : "…"}
            </span>
            <strong>{policy}</strong> <span className="ew-soft">{tier}</span>
            <p className="ew-soft ew-small">{text}</p>
          </li>
        ))}
      </ul>
      {status.policies.length > MOST && <p className="ew-soft">and {status.policies.length - MOST} more</p>}
    </section>
  );
}
