import { Fragment, type ReactNode } from "react";

export interface Fact {
  name: string;
  value: ReactNode;
  action?: ReactNode;
}

/** Names and values, one per line. */
export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl className="ew-facts">
      {facts.map(({ name, value, action }) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>
            <span>{value}</span>
            {action}
          </dd>
        </Fragment>
      ))}
    </dl>
  );
}
