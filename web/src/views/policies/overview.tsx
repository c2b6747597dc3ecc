import type { Policies, PolicyDenied } from "../../api/types";
import { plural } from "../../domain/format";
import { reasonText, unusedText } from "../../domain/policies";
import { Yaml } from "./yaml";

const MOST = 200;

function Section({ title, lines, none }: { title: string; lines: readonly string[]; none?: string }) {
  if (lines.length === 0 && !none) return null;
  return (
    <section>
      <h3>{title}</h3>
      {lines.length === 0 && <p className="ew-soft">{none}</p>}
      <ul className="ew-sentences">
        {lines.slice(0, MOST).map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      {lines.length > MOST && <p className="ew-soft">and {lines.length - MOST} more</p>}
    </section>
  );
}

const deniedText = (one: PolicyDenied): string => `${one.src} → ${one.dst} ${one.protocol} ${one.dst_port}`;

function Denied({ denied }: { denied: readonly PolicyDenied[] }) {
  return (
    <section>
      <h3>What would be denied</h3>
      {denied.slice(0, MOST).map((one) => (
        <details key={deniedText(one)} className="ew-denied">
          <summary>
            ✕ {deniedText(one)}, {plural(one.connections, "connection")}
          </summary>
          <p>{one.reason}</p>
          {one.missing_rule && <Yaml name="the missing rule" text={one.missing_rule} />}
        </details>
      ))}
    </section>
  );
}

/** Everything that is not about one workload. */
export function Overview({ policies }: { policies: Policies }) {
  const { replay, beyond } = policies;
  const counts = Object.entries(beyond).map(([reason, amount]) => `${reasonText(reason)}: ${amount}`);
  return (
    <>
      <h2>Overview</h2>
      {replay.denied.length > 0 && <Denied denied={replay.denied} />}
      <Section title="Permissions beyond what was seen, by reason" lines={counts} />
      <Section title="Unused permissions" lines={replay.unused.map(unusedText)} none="Every permission was used." />
      <Section title="Coverage is incomplete" lines={policies.gaps} />
      <Section
        title="Left out: traffic that makes no rule"
        lines={policies.left_out.map(
          (o) =>
            `${o.src} → ${o.dst} ${o.protocol} ${o.dst_port}: ${o.reason} (${plural(o.connections, "connection")})`,
        )}
      />
      <Section
        title="No label tells these apart; they share what each of them needs"
        lines={policies.indistinguishable}
      />
      <Section title="Namespaces without any traffic, so left as they are" lines={policies.skipped_namespaces} />
      <section>
        <h3>Default deny, one per namespace</h3>
        {policies.default_deny.map((text) => (
          <details key={text.name} className="ew-denied">
            <summary>{text.name}</summary>
            <Yaml name={text.name} text={text.yaml} />
          </details>
        ))}
      </section>
    </>
  );
}
