import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import type { EnforcementStatus } from "../../api/types";
import {
  cellText,
  EVERY,
  matrix,
  matrixColumns,
  MODE,
  strictest,
  type MatrixColumn,
  type MatrixRow,
} from "../../domain/enforcement";
import { Value } from "../../components/value";
import { ChangeMode } from "./change-mode";

const nameOf = (namespace: string): string => (namespace === EVERY ? "all other namespaces" : namespace);

const why = "Enforcement is off here, so nothing is to be put in force.";

function Row({ row, columns, onChange }: { row: MatrixRow; columns: readonly MatrixColumn[]; onChange: () => void }) {
  return (
    <tr>
      <th scope="row">{nameOf(row.namespace)}</th>
      {columns.map(({ nodes }) => {
        const cell = row.cells.find(({ node }) => node === nodes[0]);
        if (!cell) return null;
        const mode = strictest(cell);
        return (
          <td key={cell.node} className={`ew-mode ew-mode-${mode}`}>
            <span aria-hidden="true">{MODE[mode].sign}</span> {cellText(cell)}
          </td>
        );
      })}
      <td>{row.inForce == null ? <Value text="–" why={why} /> : `${row.complete ? "✓" : "…"} ${row.inForce}`}</td>
      <td className="ew-nowrap">
        <Button onClick={onChange} ariaLabel={`Change the mode of ${nameOf(row.namespace)}`}>
          Change
        </Button>
      </td>
    </tr>
  );
}

/** Namespaces × nodes: what is asked for, and on how many pods it is in force. */
export function Modes({ status, onChanged }: { status: EnforcementStatus; onChanged: () => void }) {
  const [changing, setChanging] = useState<MatrixRow | null>(null);
  const { nodes, rows } = matrix(status);
  const columns = matrixColumns({ nodes, rows });
  const close = (): void => setChanging(null);
  return (
    <section className="ew-card ew-wide" aria-label="Modes">
      <h2>Modes by namespace and node</h2>
      <div className="ew-scroll" tabIndex={0} role="group" aria-label="Table of modes">
        <table className="ew-rules">
          <thead>
            <tr>
              <th scope="col">Namespace</th>
              {columns.map(({ title, nodes: members }) => (
                <th key={title + members[0]} scope="col" title={members.join(", ")}>
                  {title}
                </th>
              ))}
              <th scope="col">In force on</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.namespace} row={row} columns={columns} onChange={() => setChanging(row)} />
            ))}
          </tbody>
        </table>
      </div>
      {columns.length < nodes.length && columns.length > 1 && (
        <ul className="ew-soft ew-small">
          {columns.map(({ title, nodes: members }) => (
            <li key={title + members[0]}>
              {title}: {members.join(", ")}
            </li>
          ))}
        </ul>
      )}
      {rows.length === 1 && <p className="ew-soft">The server knows no namespaces yet.</p>}
      <p className="ew-soft ew-small">
        {Object.values(MODE)
          .map(({ sign, word, meaning }) => `${sign} ${word}: ${meaning}`)
          .join("; ")}
        .
      </p>
      {changing && (
        <ChangeMode
          namespace={changing.namespace}
          mode={changing.cells[0] ? strictest(changing.cells[0]) : "off"}
          nodes={nodes}
          onDone={() => {
            close();
            onChanged();
          }}
          onClose={close}
        />
      )}
    </section>
  );
}
