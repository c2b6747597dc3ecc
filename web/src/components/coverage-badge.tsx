import Button from "@cloudscape-design/components/button";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { Coverage } from "../api/types";
import { badge } from "../domain/coverage";

/** Is the data complete? Always in sight; opens the books. */
export function CoverageBadge({ coverage, onOpen }: { coverage: Coverage | null; onOpen: () => void }) {
  if (!coverage) return <StatusIndicator type="pending">Coverage unknown</StatusIndicator>;
  const { text, tone } = badge(coverage);
  return (
    <span className="ew-coverage" data-testid="coverage-badge">
      <Button variant="inline-link" onClick={onOpen} ariaLabel={`Coverage: ${text}. Show the books`}>
        <StatusIndicator type={tone} colorOverride={tone === "success" ? "green" : undefined}>
          {text}
        </StatusIndicator>
      </Button>
    </span>
  );
}
