/** The Cytoscape drawing: takes graphs, keeps places, reports what was clicked. Knows nothing of React. */
import cytoscape, { type Core, type ElementDefinition } from "cytoscape";
import type { Found } from "../../domain/find";
import type { Graph } from "../../domain/graph";
import type { Box, Positions } from "../../domain/layout";
import { route, type RoutedArc } from "../../domain/route";
import { settle } from "../../domain/settle";
import type { Selected } from "../../domain/url";
import type { Theme } from "../../state/theme";
import {
  badgeImage,
  FAR_SIZE,
  FAR_ZOOM,
  farLabel,
  NEAR_SIZE,
  NODE_HEIGHT,
  nodeWidth,
  shapeOf,
  shorten,
  stylesheet,
} from "./picture";

/** From here on moving the map moves an image of it, which is then drawn anew: Cytoscape redraws too slowly. */
export const LARGE_EDGES = 600;
const CROWDED_EDGES = 70;
const SETTLED_MS = 60;

const still = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

export interface Canvas {
  /** `key` names what is asked: places are kept while it stays the same. */
  draw: (graph: Graph, key: string) => void;
  mark: (selected: Selected | null, found: Found | null, pointed: string | null) => void;
  show: (id: string) => void;
  fit: () => void;
  /** Larger (above 1) or smaller, around the middle. */
  zoom: (factor: number) => void;
  rearrange: () => void;
  theme: (theme: Theme) => void;
  resize: () => void;
  destroy: () => void;
}

function elementsOf(graph: Graph): ElementDefinition[] {
  const crowded = graph.edges.filter((edge) => !edge.quiet).length > CROWDED_EDGES ? "crowded" : "";
  return [
    ...graph.groups.map((group) => ({
      group: "nodes" as const,
      data: { id: group.id, label: group.name, kind: group.kind },
    })),
    ...graph.nodes.map((node) => ({
      group: "nodes" as const,
      data: {
        id: node.id,
        parent: node.group,
        kind: node.kind,
        label: `${shorten(node.label)}\n${shorten(node.detail)}`,
        far: farLabel(node.label),
        width: nodeWidth(node),
        shape: shapeOf(node.kind),
        badge: badgeImage(node),
      },
    })),
    ...graph.edges.map((edge) => ({
      group: "edges" as const,
      classes: [crowded, edge.source === edge.target ? "loop" : ""].join(" "),
      data: {
        id: edge.id,
        source: edge.source,
        target: edge.target,
        label: edge.label,
        width: edge.width,
        bend: 0,
        answered: edge.answered ? 1 : undefined,
        quiet: edge.quiet ? 1 : undefined,
        denied: edge.policy === "denied" ? 1 : undefined,
        verdict: edge.verdict === "allowed" ? undefined : (edge.verdict ?? undefined),
      },
    })),
  ];
}

/** Adds, changes and removes only what differs, so that what stays is not touched. */
function synchronise(cy: Core, elements: readonly ElementDefinition[], positions: Positions): void {
  const wanted = new Set(elements.map(({ data }) => data.id));
  cy.batch(() => {
    const gone = cy.elements().filter((element) => !wanted.has(element.id()));
    gone.edges().remove();
    for (const element of elements) {
      const existing = cy.getElementById(element.data.id ?? "");
      if (existing.nonempty()) {
        existing.data(element.data);
        if (element.group === "edges") existing.toggleClass("crowded", /crowded/.test(String(element.classes)));
        if (element.data.parent && existing.parent().first().id() !== element.data.parent)
          existing.move({ parent: element.data.parent });
      } else cy.add(element);
    }
    gone.nodes(":childless").remove();
    gone.remove();
    for (const [id, point] of positions) {
      const node = cy.getElementById(id);
      if (node.nonempty() && !node.isParent()) node.position(point);
    }
  });
}

function follow(cy: Core, onSelect: (selected: Selected | null) => void): void {
  cy.on("tap", (event) => {
    if (event.target === cy) onSelect(null);
    else if (event.target.isNode() && !event.target.isParent()) onSelect({ kind: "node", id: event.target.id() });
    else if (event.target.isEdge()) onSelect({ kind: "edge", id: event.target.id() });
  });
  cy.on("mouseover", "node:childless, edge", (event) => {
    event.target.addClass("near");
    if (event.target.isNode()) event.target.connectedEdges().addClass("near");
    const box = cy.container();
    if (box) box.style.cursor = "pointer";
  });
  cy.on("mouseout", "node:childless, edge", () => {
    cy.elements(".near").removeClass("near");
    const box = cy.container();
    if (box) box.style.cursor = "";
  });
}

export function createCanvas(
  container: HTMLElement,
  theme: Theme,
  large: boolean,
  onSelect: (selected: Selected | null) => void,
): Canvas {
  const cy = cytoscape({
    container,
    style: stylesheet(theme),
    minZoom: 0.05,
    maxZoom: 2.5,
    boxSelectionEnabled: false,
    textureOnViewport: large,
    pixelRatio: large ? 1 : "auto",
  });
  let positions: Positions = new Map();
  let boxes: Box[] = [];
  let arcs: RoutedArc[] = [];
  let drawnKey = "";
  let chosenId: string | null = null;
  let approached: string | null = null; // what the picture was made larger for
  let handled = false; // the person moved the picture, so it is theirs
  const fit = (): void => {
    handled = false;
    approached = null;
    if (cy.nodes().empty()) return;
    cy.fit(undefined, 24);
    if (cy.zoom() > 1.1) cy.zoom({ level: 1.1, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  };
  let far: boolean | null = null;
  /** What is drawn small says less, in larger letters. */
  const near = (changed = false): void => {
    const now = cy.zoom() < FAR_ZOOM;
    container.dataset.zoom = cy.zoom().toFixed(4);
    container.dataset.names = ((now ? FAR_SIZE : NEAR_SIZE) * cy.zoom()).toFixed(1); // pixels on the screen
    if (now === far && !changed) return;
    far = now;
    cy.batch(() => void cy.elements().toggleClass("far", now));
  };
  cy.on("zoom", () => near());
  const aspect = (): number => (cy.width() > 0 && cy.height() > 0 ? cy.width() / cy.height() : 1.5);
  follow(cy, onSelect);
  cy.on("scrollzoom dragpan pinchzoom", () => {
    handled = true;
  });
  const bendEdges = (): void => {
    const bends = route(boxes, arcs, positions);
    cy.batch(() => bends.forEach((bend, id) => void cy.getElementById(id).data("bend", bend)));
  };
  cy.on("dragfree", "node", () => {
    cy.nodes(":childless").forEach((node) => void positions.set(node.id(), { ...node.position() }));
    bendEdges();
  });
  const show = (id: string): void => {
    const element = cy.getElementById(id);
    if (element.empty()) return;
    const box = element.union(element.connectedNodes()).renderedBoundingBox({});
    const inside = box.x1 > 0 && box.y1 > 0 && box.x2 < cy.width() && box.y2 < cy.height();
    if (!inside) cy.animate({ center: { eles: element }, duration: still() ? 0 : 180 });
  };
  /** What was chosen in a picture too small to read comes near, unless the person moved it. */
  const approach = (id: string): void => {
    const element = cy.getElementById(id);
    if (element.empty() || handled || (cy.zoom() >= FAR_ZOOM && approached !== id)) return show(id);
    approached = id;
    const around = element.union(element.neighborhood()).union(element.connectedNodes()).nodes();
    cy.fit(around, 60);
    if (cy.zoom() > 0.9) cy.zoom(0.9);
    cy.center(around);
  };
  let coming: ReturnType<typeof setTimeout> | undefined;
  /** Once the panel beside it has taken its place. */
  const soon = (): void => {
    clearTimeout(coming);
    coming = setTimeout(() => chosenId && approach(chosenId), SETTLED_MS);
  };
  return {
    draw(graph, key) {
      if (key !== drawnKey) positions = new Map();
      const afresh = positions.size === 0;
      drawnKey = key;
      const before = positions;
      boxes = graph.nodes.map((node) => ({
        id: node.id,
        group: node.group,
        width: nodeWidth(node),
        height: NODE_HEIGHT,
      }));
      arcs = graph.edges.map(({ id, source, target }) => ({ id, source, target, weight: 1 }));
      positions = settle(boxes, arcs, before, aspect());
      const moved = boxes.some((box) => before.get(box.id)?.x !== positions.get(box.id)?.x);
      synchronise(cy, elementsOf(graph), positions);
      bendEdges();
      if (afresh || (moved && !handled)) fit();
      near(true);
    },
    mark(selected, found, pointed) {
      const chosenBefore = chosenId;
      chosenId = selected?.id ?? null;
      if (chosenId && chosenId !== chosenBefore) soon();
      cy.batch(() => {
        cy.elements().removeClass("dim chosen near");
        const chosen = selected ? cy.getElementById(selected.id) : cy.collection();
        chosen.addClass("chosen");
        const around = chosen.isNode?.() ? chosen.closedNeighborhood() : chosen.union(chosen.connectedNodes());
        if (chosen.nonempty()) cy.elements().difference(around).not(":parent").addClass("dim");
        if (chosen.nonempty() && chosen.isNode()) chosen.connectedEdges().addClass("near");
        if (found)
          cy.elements(":childless, edge").forEach(
            (element) =>
              void element.toggleClass("dim", !found.nodes.has(element.id()) && !found.edges.has(element.id())),
          );
        if (pointed) cy.getElementById(pointed).addClass("near").removeClass("dim");
      });
    },
    show,
    fit,
    zoom(factor) {
      handled = true;
      cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
    },
    rearrange() {
      positions = settle(boxes, arcs, new Map(), aspect());
      cy.batch(() => positions.forEach((point, id) => cy.getElementById(id).position(point)));
      bendEdges();
      fit();
    },
    theme: (next) => void cy.style(stylesheet(next)),
    resize() {
      cy.resize();
      if (chosenId)
        soon(); // a panel opened: what it is about stays in sight
      else if (!handled) fit();
    },
    destroy() {
      clearTimeout(coming);
      cy.destroy();
    },
  };
}
