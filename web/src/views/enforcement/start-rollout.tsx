import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Multiselect from "@cloudscape-design/components/multiselect";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import { useState } from "react";
import type { RolloutRequest } from "../../api/types";
import { Confirm } from "../../components/confirm";
import { plural } from "../../domain/format";
import { useChange } from "../../state/change";

interface Properties {
  known: readonly string[];
  onDone: () => void;
  onClose: () => void;
}

const option = (value: string): { value: string; label: string } => ({ value, label: value });

/** Which namespaces go how far, how many nodes at a time, and how long each step is watched. */
export function StartRollout({ known, onDone, onClose }: Properties) {
  const change = useChange();
  const [namespaces, setNamespaces] = useState<readonly string[]>([]);
  const [to, setTo] = useState<"audit" | "enforce">("enforce");
  const [budget, setBudget] = useState("10%");
  const [hold, setHold] = useState("300");
  const seconds = Number(hold);
  const body: Partial<RolloutRequest> = { namespaces: [...namespaces], to, budget, hold_s: seconds };
  return (
    <Confirm
      title="Start a rollout"
      act={`Begin moving ${plural(namespaces.length, "namespace")} to ${to}`}
      change={change}
      disabled={namespaces.length === 0 || !(seconds >= 0)}
      onConfirm={() => change.run("POST", "rollouts", body, onDone)}
      onClose={onClose}
    >
      <FormField label="Namespaces">
        <Multiselect
          selectedOptions={namespaces.map(option)}
          options={known.map(option)}
          onChange={({ detail }) => setNamespaces(detail.selectedOptions.flatMap(({ value }) => value ?? []))}
          placeholder="Choose namespaces"
          selectedAriaLabel="selected"
          deselectAriaLabel={({ label }) => `Leave out ${label}`}
        />
      </FormField>
      <SegmentedControl
        label="Up to"
        selectedId={to}
        options={[
          { id: "audit", text: "△ audit" },
          { id: "enforce", text: "● enforce" },
        ]}
        onChange={({ detail }) => setTo(detail.selectedId === "audit" ? "audit" : "enforce")}
      />
      <FormField label="Nodes a step may take" description="A count, or a percentage of all nodes.">
        <Input value={budget} onChange={({ detail }) => setBudget(detail.value)} />
      </FormField>
      <FormField label="Seconds that each step is watched">
        <Input value={hold} type="number" onChange={({ detail }) => setHold(detail.value)} />
      </FormField>
      <p className="ew-soft">
        A step is taken back on its own when something that worked before would break: denied flows, failing probes,
        retransmissions, lost coverage.
      </p>
    </Confirm>
  );
}
