import { useEffect, useRef } from "react";
import type { WorkloadPolicy } from "../../api/types";
import { plural } from "../../domain/format";
import { LEARNING, learningSummary, workloadId } from "../../domain/policies";
import { setView } from "../../state/view";

function Item({ workload, chosen }: { workload: WorkloadPolicy; chosen: boolean }) {
  const { sign, word } = LEARNING[workload.learning];
  return (
    <li>
      <button
        type="button"
        className="ew-item"
        aria-pressed={chosen}
        title={workload.learning_text}
        onClick={() => setView({ workload: chosen ? null : workloadId(workload) })}
      >
        <span className="ew-item-text">{workload.name}</span>
        <span className="ew-item-note">
          <span className={`ew-sign ew-sign-${workload.learning}`} aria-hidden="true">
            {sign}
          </span>{" "}
          {word}
        </span>
      </button>
    </li>
  );
}

/** Every workload by namespace, with how far it is known. */
export function WorkloadList({ workloads, chosen }: { workloads: readonly WorkloadPolicy[]; chosen: string | null }) {
  const list = useRef<HTMLElement>(null);
  useEffect(() => {
    const box = list.current;
    const item = box?.querySelector<HTMLElement>('[aria-pressed="true"]');
    if (box && item && box.scrollHeight > box.clientHeight) item.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const namespaces = [...new Set(workloads.map(({ namespace }) => namespace))].sort();
  return (
    <nav ref={list} className="ew-outline" aria-label="Workloads">
      <h2>{plural(workloads.length, "workload")}</h2>
      <p className="ew-soft ew-small ew-list-note">{learningSummary(workloads)}</p>
      <button
        type="button"
        className="ew-item"
        aria-pressed={chosen == null}
        onClick={() => setView({ workload: null })}
      >
        <span className="ew-item-text">Overview</span>
      </button>
      {namespaces.map((namespace) => (
        <section key={namespace}>
          <h3 className="ew-list-head">{namespace}</h3>
          <ul aria-label={`Workloads of ${namespace}`}>
            {workloads
              .filter((workload) => workload.namespace === namespace)
              .sort((a, b) => a.name.localeCompare(b.name))
              .map((workload) => (
                <Item key={workloadId(workload)} workload={workload} chosen={workloadId(workload) === chosen} />
              ))}
          </ul>
        </section>
      ))}
    </nav>
  );
}
