import Select from "@cloudscape-design/components/select";

const ALL = { value: "", label: "All namespaces" };

/** One namespace, or all of them. A namespace that is not known (any more) stays selectable. */
export function NamespaceSelect({
  known,
  value,
  onChange,
}: {
  known: readonly string[];
  value: string | null;
  onChange: (namespace: string | null) => void;
}) {
  const names = value && !known.includes(value) ? [...known, value] : known;
  return (
    <div className="ew-namespace">
      <Select
        selectedOption={value ? { value, label: value } : ALL}
        options={[ALL, ...[...names].sort().map((name) => ({ value: name, label: name }))]}
        onChange={({ detail }) => onChange(detail.selectedOption.value || null)}
        filteringType={names.length > 8 ? "auto" : "none"}
        filteringAriaLabel="Find a namespace"
        ariaLabel="Namespace"
        inlineLabelText="Namespace"
      />
    </div>
  );
}
