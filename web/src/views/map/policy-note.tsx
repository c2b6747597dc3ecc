import type { PolicyEffect } from "../../api/types";
import { overlayText, unusedText } from "../../domain/policies";
import type { PolicyOverlay } from "../../domain/url";

interface Properties {
  policy: Exclude<PolicyOverlay, "off">;
  effect: PolicyEffect | null;
  loading: boolean;
}

/** What the chosen policies do to the map as a whole, and which permissions nothing used. */
export function PolicyNote({ policy, effect, loading }: Properties) {
  const text = effect
    ? overlayText(effect, effect.set)
    : loading
      ? `Judging every connection by the ${policy} policies …`
      : "";
  return (
    <div className="ew-policy-note" data-testid="policy-note">
      <p role="status">{text}</p>
      {effect && effect.unused.length > 0 && (
        <details>
          <summary>Unused permissions</summary>
          <ul>
            {effect.unused.slice(0, 200).map((unused) => (
              <li key={unusedText(unused)}>{unusedText(unused)}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
