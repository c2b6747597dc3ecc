import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { ReactNode } from "react";
import type { Change } from "../state/change";
import { ProblemNotice } from "./notices";

interface Properties {
  title: string;
  /** What the button says: the act itself, never "OK". */
  act: string;
  change: Change;
  disabled?: boolean;
  onConfirm: () => void;
  onClose: () => void;
  children: ReactNode;
}

/** Asks before anything changes; stays open with the reason when the server refuses. */
export function Confirm({ title, act, change, disabled, onConfirm, onClose, children }: Properties) {
  return (
    <Modal
      visible
      onDismiss={onClose}
      header={title}
      closeAriaLabel="Close"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={onClose}>Cancel</Button>
            <Button variant="primary" onClick={onConfirm} loading={change.busy} disabled={disabled ?? false}>
              {act}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {children}
        {change.problem && <ProblemNotice problem={change.problem} />}
      </SpaceBetween>
    </Modal>
  );
}
