import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import { useState } from "react";
import type { EnforcementStatus, PostureChange } from "../../api/types";
import { Confirm } from "../../components/confirm";
import { useChange } from "../../state/change";

type Scope = PostureChange["scope"];
const SCOPES: readonly { id: Scope; text: string }[] = [
  { id: "cluster", text: "Cluster" },
  { id: "namespace", text: "Namespace" },
  { id: "nodes", text: "Nodes" },
];
const POSTURES = ["allow", "deny"] as const;

function ChangePosture({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const change = useChange();
  const [scope, setScope] = useState<Scope>("cluster");
  const [name, setName] = useState("");
  const [posture, setPosture] = useState<PostureChange["posture"]>("allow");
  const whose = scope === "cluster" ? "the cluster" : `${scope} ${name || "…"}`;
  const options = [
    ...POSTURES.map((id) => ({ id: id as string, text: id as string })),
    ...(scope === "cluster" ? [] : [{ id: "none", text: "As the cluster" }]),
  ];
  const body: PostureChange = { scope, name: scope === "cluster" ? null : name, posture };
  return (
    <Confirm
      title="Default posture"
      act={posture == null ? `Remove the posture of ${whose}` : `Set ${whose} to ${posture}`}
      change={change}
      disabled={scope !== "cluster" && !name.trim()}
      onConfirm={() => change.run("PUT", "enforcement/posture", body, onDone)}
      onClose={onClose}
    >
      <SegmentedControl
        label="Scope"
        selectedId={scope}
        options={[...SCOPES]}
        onChange={({ detail }) => {
          setScope(SCOPES.find(({ id }) => id === detail.selectedId)?.id ?? "cluster");
          setPosture("allow");
        }}
      />
      {scope !== "cluster" && (
        <FormField label={scope === "namespace" ? "Namespace" : "Nodes, by name (a,b) or by label (pool=blue)"}>
          <Input value={name} onChange={({ detail }) => setName(detail.value)} />
        </FormField>
      )}
      <SegmentedControl
        label="Posture"
        selectedId={posture ?? "none"}
        options={options}
        onChange={({ detail }) => setPosture(POSTURES.find((one) => one === detail.selectedId) ?? null)}
      />
      <p role="status">
        {posture === "deny"
          ? `Where ${whose} is on enforce, everything that no policy allows is dropped, also at pods that no policy selects.`
          : "Where no policy selects a pod, everything passes, as Kubernetes says."}
      </p>
    </Confirm>
  );
}

/** What holds where no policy decides. */
export function Postures({ status, onChanged }: { status: EnforcementStatus; onChanged: () => void }) {
  const [open, setOpen] = useState(false);
  const done = (): void => {
    setOpen(false);
    onChanged();
  };
  return (
    <section className="ew-card" aria-label="Posture">
      <div className="ew-card-head">
        <h2>Default posture</h2>
        <Button onClick={() => setOpen(true)}>Change the posture</Button>
      </div>
      <ul className="ew-plain">
        {status.settings.postures.map(({ scope, name, posture }) => (
          <li key={`${scope} ${name}`}>
            {posture === "deny" ? "✕" : "✓"} {scope === "cluster" ? "cluster" : `${scope} ${name}`}:{" "}
            <strong>{posture}</strong>
          </li>
        ))}
      </ul>
      <p className="ew-soft ew-small">
        Holds where no policy isolates a pod and none decides; the narrowest scope wins. It acts only where the mode is
        audit or enforce.
      </p>
      {open && <ChangePosture onDone={done} onClose={() => setOpen(false)} />}
    </section>
  );
}
