import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { Problem } from "../api/types";
import type { Emptiness } from "../domain/empty";
import { isPassing } from "../domain/passing";
import { askForToken } from "../state/session";

const REMEDIES: Record<NonNullable<Emptiness["remedy"]>, string> = {
  "clear-filter": "Clear the filter",
  "all-namespaces": "All namespaces",
  longer: "Look at the last hour",
  "show-hidden": "Show everything",
  coverage: "Show coverage",
};

/** Why there is nothing to see, and the one thing that would help. */
export function Empty({
  emptiness,
  onRemedy,
}: {
  emptiness: Emptiness;
  onRemedy: (remedy: NonNullable<Emptiness["remedy"]>) => void;
}) {
  const { title, why, remedy } = emptiness;
  return (
    <div className="ew-empty" role="status" data-testid="empty">
      <SpaceBetween size="s">
        <Box variant="h2" tagOverride="p" textAlign="center">
          {title}
        </Box>
        <Box textAlign="center" color="text-body-secondary">
          {why}
        </Box>
        {remedy && (
          <Box textAlign="center">
            <Button onClick={() => onRemedy(remedy)}>{REMEDIES[remedy]}</Button>
          </Box>
        )}
      </SpaceBetween>
    </div>
  );
}

const TOKEN: Problem = {
  title: "Token required",
  detail: "Sign in with the server's token to see anything.",
  status: 401,
};

/** What the server says is wrong, and the parameter to change. */
export function ProblemNotice({ problem: given }: { problem: Problem }) {
  const refused = given.status === 401;
  const problem = refused ? TOKEN : given;
  const type = isPassing(problem) ? "warning" : "error";
  return (
    <div className="ew-problem">
      <Alert
        type={type}
        action={refused && <Button onClick={askForToken}>Sign in</Button>}
        header={problem.title.charAt(0).toUpperCase() + problem.title.slice(1)}
      >
        {problem.detail}
        {problem.parameter ? ` (parameter: ${problem.parameter})` : ""}
      </Alert>
    </div>
  );
}
