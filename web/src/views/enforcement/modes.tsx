import Button from "@cloudscape-design/components/button";
import { useState } from "react";
import type { EnforcementStatus } from "../../api/types";
import { cellText, EVERY, matrix, MODE, strictest, type MatrixRow } from "../../domain/enforcement";
import { ChangeMode } from "./change-mode";

const nameOf = (namespace: string): string => (namespace === EVERY ? "all other namespaces" : namespace);

function Row({ row, onChange }: { row: MatrixRow; onChange: () => void }) {
  return (
    <tr>
      <th scope="row">{nameOf(row.namespace)}</th>
      {row.cells.map((cell) => {
        const mode = strictest(cell);
        return (
          <td key={cell.node} className={`ew-mode ew-mode-${mode}`}>
            <span aria-hidden="true">{MODE[mode].sign}</span> {cellText(cell)}
          </td>
        );
      })}
      <td>{row.inForce == null ? "–" : `${row.complete ? "✓" : "…"} ${row.inForce}`}</td>
      <td>
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
  const close = (): void => setChanging(null);
  return (
    <section className="ew-card ew-wide" aria-label="Modes">
      <h2>Modes by namespace and node</h2>
      <div className="ew-scroll" tabIndex={0} role="group" aria-label="Table of modes">
        <table className="ew-rules">
          <thead>
            <tr>
              <th scope="col">Namespace</th>
              {nodes.map((node) => (
                <th key={node} scope="col">
                  {node}
                </th>
              ))}
              <th scope="col">In force on</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.namespace} row={row} onChange={() => setChanging(row)} />
            ))}
          </tbody>
        </table>
      </div>
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
