import FormField from "@cloudscape-design/components/form-field";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import Select from "@cloudscape-design/components/select";
import { useState } from "react";
import { Confirm } from "../../components/confirm";
import { consequence, DIRECTIONS, EVERY, MODE, MODES, type Direction, type Mode } from "../../domain/enforcement";
import { useChange } from "../../state/change";

const EVERYWHERE = { value: "", label: "Every node" };
const BOTH = "both";

interface Properties {
  namespace: string;
  mode: Mode;
  nodes: readonly string[];
  onDone: () => void;
  onClose: () => void;
}

/** Chooses mode, direction and nodes for a namespace, and says what that does before it is done. */
export function ChangeMode({ namespace, mode: before, nodes, onDone, onClose }: Properties) {
  const change = useChange();
  const [mode, setMode] = useState<Mode>(before);
  const [direction, setDirection] = useState<Direction | null>(null);
  const [node, setNode] = useState<string | null>(null);
  const where = [EVERYWHERE, ...nodes.map((name) => ({ value: name, label: name }))];
  const chosen = node ? [node] : null;
  const name = namespace === EVERY ? "all other namespaces" : namespace;
  const confirm = (): void =>
    change.run(
      "PUT",
      `enforcement/namespaces/${encodeURIComponent(namespace)}`,
      { mode, direction, nodes: chosen },
      onDone,
    );
  return (
    <Confirm
      title={`Mode of ${name}`}
      act={`Set ${name} to ${MODE[mode].word}`}
      change={change}
      onConfirm={confirm}
      onClose={onClose}
    >
      <SegmentedControl
        label="Mode"
        selectedId={mode}
        options={MODES.map((id) => ({ id, text: `${MODE[id].sign} ${MODE[id].word}` }))}
        onChange={({ detail }) => setMode(MODES.find((one) => one === detail.selectedId) ?? before)}
      />
      <SegmentedControl
        label="Direction"
        selectedId={direction ?? BOTH}
        options={[{ id: BOTH, text: "Both directions" }, ...DIRECTIONS.map((id) => ({ id, text: id }))]}
        onChange={({ detail }) => setDirection(DIRECTIONS.find((one) => one === detail.selectedId) ?? null)}
      />
      <FormField label="Where">
        <Select
          selectedOption={where.find(({ value }) => value === (node ?? "")) ?? EVERYWHERE}
          options={where}
          onChange={({ detail }) => setNode(detail.selectedOption.value || null)}
          selectedAriaLabel="selected"
        />
      </FormField>
      <p role="status">{consequence({ namespace, mode, direction, nodes: chosen })}</p>
      {mode === "enforce" && (
        <p className="ew-soft">
          All at once, without gates. A rollout does the same step by step, and takes a step back when something breaks.
        </p>
      )}
    </Confirm>
  );
}
