import Button from "@cloudscape-design/components/button";
import type { MapEdge, MapNode, PolicyEdge, ServiceMap } from "../../api/types";
import { HistoryChart } from "../../components/history";
import { Facts, type Fact } from "../../components/facts";
import { SidePanel } from "../../components/side-panel";
import { Value } from "../../components/value";
import { edgeFilter, viewOf } from "../../domain/filter";
import { bytes, clock, moment } from "../../domain/format";
import { edgeBytes, edgeId, portText, type GraphEdge } from "../../domain/graph";
import { health, lookedUp } from "../../domain/health";
import { costCell, pricesText } from "../../domain/cost";
import { effectText } from "../../domain/policies";
import { connectionsText, directions, observed, reporterText, roleSourceText } from "../../domain/panel";
import { crossing, zoneReason } from "../../domain/zone";
import type { Range } from "../../domain/range";
import { WORDS } from "../../domain/verdict";
import { setView } from "../../state/view";
import { Ruling } from "./ruling";

type Ends = { source: MapNode | undefined; target: MapNode | undefined };

/** One end by its full name; opens it. */
function End({ node, id }: { node: MapNode | undefined; id: string }) {
  return (
    <button type="button" className="ew-open" onClick={() => setView({ selected: { kind: "node", id } })}>
      {node ? [node.namespace, node.name, node.region].filter(Boolean).join(" / ") : id}
    </button>
  );
}

function Traffic({ edge, seconds }: { edge: MapEdge; seconds: number }) {
  const [forward, reverse] = directions(edge, seconds);
  if (!forward || !reverse) return null;
  const rows = [
    ["Bytes", forward.bytes, reverse.bytes],
    ["Rate", forward.rate, reverse.rate],
    ["Packets", forward.packets, reverse.packets],
    ["Packet rate", forward.packetRate, reverse.packetRate],
    ["Segments", forward.segments, reverse.segments],
  ] as const;
  return (
    <table className="ew-figures">
      <caption className="ew-unseen">Traffic in each direction</caption>
      <thead>
        <tr>
          <td />
          <th scope="col">Forward →</th>
          <th scope="col">← Reverse</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, there, back]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{there}</td>
            <td>{back}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function zoneFact({ source, target }: Ends): Fact {
  const between = crossing(
    { zone: source?.zone ?? null, region: source?.region },
    { zone: target?.zone ?? null, region: target?.region },
  );
  const blind = source?.zone ? target : source;
  const why = between.kind === "unknown" ? zoneReason(blind?.kind ?? "unknown", blind?.pods) : null;
  return { name: "Crosses", value: <Value text={why ? "–" : between.text} why={why} /> };
}

function factsOf(edge: MapEdge, ends: Ends): Fact[] {
  const direct = "The client connected to the backend's own address, or no agent saw the translation.";
  const service = edge.service ? [edge.service_namespace, edge.service].filter(Boolean).join(" / ") : null;
  return [
    { name: "From", value: <End node={ends.source} id={edge.source} /> },
    { name: "To", value: <End node={ends.target} id={edge.target} /> },
    { name: "Port", value: portText(edge) },
    { name: "Service", value: <Value text={service ?? "–"} why={service ? null : direct} /> },
    {
      name: "Service port",
      value: (
        <Value
          text={edge.service_port == null ? "–" : String(edge.service_port)}
          why={edge.service_port == null ? direct : null}
        />
      ),
    },
    { name: "Connections", value: connectionsText(edge) },
    zoneFact(ends),
    { name: "First seen", value: moment(edge.first_seen_ns) },
    { name: "Last seen", value: moment(edge.last_seen_ns) },
    { name: "Figures from", value: reporterText(edge.reporter) },
    { name: "Roles known from", value: roleSourceText(edge.role_source) },
  ];
}

/** What the chosen policies do to it, why, and what would allow it. */
function Judgement({ effect }: { effect: PolicyEdge | undefined }) {
  return (
    <section>
      <h3>{effectText(effect)}</h3>
      {effect?.reason && <p>{effect.reason}</p>}
      {effect?.missing_rule && (
        <>
          <p className="ew-soft ew-small">What is missing, ready to apply:</p>
          <pre className="ew-yaml" tabIndex={0}>
            {effect.missing_rule}
          </pre>
        </>
      )}
    </section>
  );
}

function healthFacts(edge: MapEdge, map: ServiceMap): Fact[] {
  const name = { name: "Looked up as", cell: lookedUp(edge, map.coverage) };
  return [name, ...health(edge, map.coverage)].map(({ name, cell }) => ({
    name,
    value: <Value text={cell.text} why={cell.why} />,
  }));
}

function Single({ edge, map, range }: { edge: MapEdge; map: ServiceMap; range: Range }) {
  const cost = costCell(edge, map.prices?.currency);
  const ends = {
    source: map.nodes.find(({ id }) => id === edge.source),
    target: map.nodes.find(({ id }) => id === edge.target),
  };
  const { start_ns, end_ns } = observed(map);
  const open = (): void =>
    setView({
      page: "flows",
      filter: edgeFilter(edge, ends.source, ends.target),
      view: viewOf(ends.source, ends.target),
      cursor: null,
      row: null,
    });
  return (
    <>
      <Ruling edge={edge} level={map.level} range={range} />
      <Button variant="primary" onClick={open}>
        View flows
      </Button>
      <h3>History</h3>
      <HistoryChart filter={edgeFilter(edge, ends.source, ends.target)} range={range} />
      <Traffic edge={edge} seconds={(end_ns - start_ns) / 1e9} />
      <p className="ew-soft ew-small">
        L3 bytes as counted at the pod’s interface; average rates from {clock(start_ns)} to {clock(end_ns)} UTC.
      </p>
      <Facts facts={factsOf(edge, ends)} />
      <h3>Health</h3>
      <Facts facts={healthFacts(edge, map)} />
      <h3>Cost</h3>
      <Facts
        facts={[
          { name: "In this range", value: <Value text={cost.text} why={cost.why} /> },
          { name: "Category", value: edge.category?.replaceAll("_", " ") ?? "several" },
        ]}
      />
      <p className="ew-soft ew-small">{pricesText(map.prices)}</p>
    </>
  );
}

const MOST = 200;

/** Draws what was drawn as one in full, with this connection chosen. */
const alone = (edge: MapEdge, level: ServiceMap["level"]): void =>
  setView({ level, top: 1000, selected: { kind: "edge", id: edgeId(edge) } });

interface PanelProperties {
  edge: GraphEdge;
  map: ServiceMap;
  effects: ReadonlyMap<string, PolicyEdge> | null;
  range: Range;
  onClose: () => void;
}

/** One connection, or the connections that a "+ n more" stands for. */
export function EdgePanel({ edge, map, effects, range, onClose }: PanelProperties) {
  const [first, ...others] = edge.members;
  if (!first) return null;
  const title = edge.name.slice(0, edge.name.lastIndexOf(", "));
  const names = new Map(map.nodes.map((node) => [node.id, node.name]));
  return (
    <SidePanel
      title={title}
      subtitle={
        edge.answered || edge.verdict === "denied" ? undefined : "Connections were opened, and none was answered."
      }
      onClose={onClose}
    >
      {effects && others.length === 0 && <Judgement effect={effects.get(edgeId(first))} />}
      {others.length === 0 ? (
        <Single edge={first} map={map} range={range} />
      ) : (
        <ul className="ew-plain">
          {[...edge.members]
            .sort((a, b) => edgeBytes(b) - edgeBytes(a))
            .slice(0, MOST)
            .map((member) => (
              <li key={edgeId(member)}>
                <button type="button" className="ew-item" onClick={() => alone(member, map.level)}>
                  <span className="ew-item-text">
                    {names.get(member.source)} → {names.get(member.target)} {portText(member)}
                    {member.verdict && member.verdict !== "allowed"
                      ? `, ${WORDS[member.verdict].sign} ${WORDS[member.verdict].word}`
                      : ""}
                    {effects?.get(edgeId(member))?.state === "denied" ? ", ✕ would be denied" : ""}
                  </span>
                  <span className="ew-item-note">{bytes(edgeBytes(member))}</span>
                </button>
              </li>
            ))}
          {edge.members.length > MOST && <li className="ew-soft">and {edge.members.length - MOST} more</li>}
        </ul>
      )}
    </SidePanel>
  );
}
