import Select from "@cloudscape-design/components/select";
import { VERDICT_FILTERS, type VerdictFilter } from "../domain/url";

const TEXTS: Record<VerdictFilter, string> = {
  denied: "✕ Denied",
  "would-deny": "△ Would be denied",
  allowed: "✓ Allowed",
};
const EVERY = { value: "", label: "Any verdict" };
const OPTIONS = [EVERY, ...VERDICT_FILTERS.map((value) => ({ value, label: TEXTS[value] }))];

interface Properties {
  value: VerdictFilter | null;
  onChange: (verdict: VerdictFilter | null) => void;
}

/** Only what the policies decided so, at any end. */
export function VerdictSelect({ value, onChange }: Properties) {
  return (
    <div className="ew-verdict-select">
      <Select
        selectedOption={OPTIONS.find((option) => option.value === (value ?? "")) ?? EVERY}
        options={OPTIONS}
        onChange={({ detail }) => onChange(VERDICT_FILTERS.find((one) => one === detail.selectedOption.value) ?? null)}
        ariaLabel="Verdict"
        selectedAriaLabel="selected"
      />
    </div>
  );
}
