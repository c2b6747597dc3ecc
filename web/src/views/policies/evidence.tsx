import type { WorkloadPolicy } from "../../api/types";
import { reasonText } from "../../domain/policies";
import { count, moment } from "../../domain/format";

type Rule = WorkloadPolicy["rules"][number];

/** A rule may rest on connections that were opened before the range, or on its reason alone. */
function seenText(rule: Rule): string {
  if (rule.connections > 0) return count(rule.connections);
  return rule.first_seen_ns == null ? "not seen" : "opened earlier";
}

/** Each rule with the connections it rests on; permissions beyond them say why they are there. */
export function Evidence({ rules }: { rules: readonly Rule[] }) {
  if (rules.length === 0) return <p className="ew-soft">No rules: nothing was seen.</p>;
  return (
    <table className="ew-rules">
      <caption className="ew-unseen">Rules and their evidence</caption>
      <thead>
        <tr>
          <th scope="col">Direction</th>
          <th scope="col">Peer</th>
          <th scope="col">Ports</th>
          <th scope="col" className="ew-right">
            Connections
          </th>
          <th scope="col">First seen</th>
          <th scope="col">Last seen</th>
          <th scope="col">Beyond what was seen</th>
        </tr>
      </thead>
      <tbody>
        {rules.map((rule) => (
          <tr key={`${rule.direction}${rule.peer}${rule.ports.join()}`}>
            <td>{rule.direction}</td>
            <th scope="row">{rule.peer}</th>
            <td>{rule.ports.join(", ")}</td>
            <td className="ew-right">{seenText(rule)}</td>
            <td>{moment(rule.first_seen_ns)}</td>
            <td>{moment(rule.last_seen_ns)}</td>
            <td>
              {rule.beyond.map(({ reason, permission }) => `${permission} (${reasonText(reason)})`).join("; ") ||
                "nothing"}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
