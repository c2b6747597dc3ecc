import Box from "@cloudscape-design/components/box";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import type { Coverage, NodeCoverage } from "../api/types";
import { badge, clockText, gapsText, lostText, missingHooks } from "../domain/coverage";
import { bytes, clock, moment } from "../domain/format";
import { Value } from "./value";

const STATE = { reporting: "success", silent: "warning", never: "stopped" } as const;
const NO_REPORT = "This node sent no report in the range.";

const COLUMNS: readonly TableProps.ColumnDefinition<NodeCoverage>[] = [
  { id: "node", header: "Node", cell: (node) => node.node, isRowHeader: true },
  {
    id: "state",
    header: "State",
    cell: (node) => <StatusIndicator type={STATE[node.state]}>{node.state}</StatusIndicator>,
  },
  {
    id: "hook",
    header: "At the hook",
    cell: (node) => <Value text={bytes(node.hook_bytes)} why={node.hook_bytes == null ? NO_REPORT : null} />,
  },
  {
    id: "recorded",
    header: "Recorded",
    cell: (node) => <Value text={bytes(node.recorded_bytes)} why={node.recorded_bytes == null ? NO_REPORT : null} />,
  },
  { id: "lost", header: "Declared losses", cell: (node) => lostText(node.lost) },
  {
    id: "unexplained",
    header: "Unexplained",
    cell: (node) => (
      <Value text={bytes(node.unexplained_bytes)} why={node.unexplained_bytes == null ? NO_REPORT : null} />
    ),
  },
  { id: "gaps", header: "Windows missing", cell: gapsText },
  {
    id: "clock",
    header: "Clock",
    cell: (node) => <Value text={clockText(node)} why={node.clock_skew_ns == null ? NO_REPORT : null} />,
  },
  { id: "hooks", header: "Hooks not on", cell: (node) => missingHooks(node).join("; ") || "none" },
  {
    id: "last",
    header: "Last report",
    cell: (node) => (node.last_window_end_ns == null ? "never" : `${clock(node.last_window_end_ns)} UTC`),
  },
];

/** What is missing, in sentences, and every node's books: hook = recorded + declared losses + unexplained. */
export default function CoveragePanel({ coverage, onClose }: { coverage: Coverage; onClose: () => void }) {
  const notes = coverage.notes ?? [];
  return (
    <Modal
      visible
      onDismiss={onClose}
      size="max"
      header={`Coverage: ${badge(coverage).text}`}
      closeAriaLabel="Close the coverage panel"
    >
      <SpaceBetween size="m">
        <Box variant="p">
          {moment(coverage.window.start_ns)} to {clock(coverage.window.end_ns)}: {bytes(coverage.recorded_bytes)}{" "}
          recorded of {bytes(coverage.hook_bytes)} counted at the pods’ interfaces; {bytes(coverage.unexplained_bytes)}{" "}
          unexplained.
        </Box>
        {coverage.sentences.length > 0 ? (
          <ul className="ew-sentences" aria-label="What is missing">
            {coverage.sentences.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        ) : (
          <StatusIndicator>Nothing is missing.</StatusIndicator>
        )}
        {coverage.notes && notes.length > 0 && (
          <ul className="ew-sentences" aria-label="What came late">
            {notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        )}
        {notes.length > 0 && (
          <ul className="ew-sentences ew-soft" aria-label="Worth knowing">
            {notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        )}
        <Table
          items={coverage.nodes}
          columnDefinitions={COLUMNS}
          trackBy="node"
          variant="embedded"
          wrapLines
          ariaLabels={{ tableLabel: "Books of each node" }}
          empty="No node is known."
        />
      </SpaceBetween>
    </Modal>
  );
}
