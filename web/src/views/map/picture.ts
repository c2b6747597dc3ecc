/** How things look on the canvas: sizes, shapes, kind badges and both palettes. Shape and badge tell the kind, not colour alone. */
import type { StylesheetJson } from "cytoscape";
import type { GraphNode } from "../../domain/graph";
import type { Theme } from "../../state/theme";

interface Palette {
  text: string;
  soft: string;
  surface: string;
  line: string;
  group: string;
  groupLine: string;
  edge: string;
  outside: string;
  accent: string;
  refused: string;
  warned: string;
  faint: string;
}

const PALETTES: Record<Theme, Palette> = {
  light: {
    text: "#0f141a",
    soft: "#424650",
    surface: "#ffffff",
    line: "#8c8c94",
    group: "#f3f5f9",
    groupLine: "#c6cad3",
    edge: "#7c8596",
    outside: "#fff8ec",
    accent: "#006ce0",
    refused: "#c52b1a",
    warned: "#7d2bb5",
    faint: "#dfe2e8",
  },
  dark: {
    text: "#ebebf0",
    soft: "#b4b4bb",
    surface: "#232b37",
    line: "#7d8593",
    group: "#171e28",
    groupLine: "#3a4353",
    edge: "#8a94a6",
    outside: "#352b1c",
    accent: "#42b4ff",
    refused: "#ff7a7a",
    warned: "#cf9bff",
    faint: "#2a323f",
  },
};

const WORKLOAD_BADGES: Record<string, string> = {
  Deployment: "D",
  StatefulSet: "SS",
  DaemonSet: "DS",
  CronJob: "CJ",
  Job: "J",
  ReplicaSet: "RS",
  Pod: "P",
};

/** One to three letters for the kind. */
export function badgeText(node: GraphNode): string {
  if (node.kind === "workload") return WORKLOAD_BADGES[node.node?.workload_kind ?? ""] ?? "W";
  return { namespace: "NS", pod: "P", node: "N", service: "S", aws: "AWS", internet: "@", unknown: "?", more: "…" }[
    node.kind
  ];
}

const BADGE_COLOURS: Record<string, string> = {
  workload: "#2f6fd6",
  namespace: "#1f5aa8",
  pod: "#3d7f5f",
  node: "#6b6f7b",
  service: "#7b4fb0",
  aws: "#b3590a",
  internet: "#a8325e",
  unknown: "#5d6470",
  more: "#5d6470",
};

/** A small badge as an SVG image, drawn at the left of the node's box. */
export function badgeImage(node: GraphNode): string {
  const text = badgeText(node);
  const size = text.length > 2 ? 8.5 : text.length > 1 ? 10.5 : 13;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="26" height="26"><rect width="26" height="26" rx="6" fill="${BADGE_COLOURS[node.kind]}"/><text x="13" y="13" dy=".36em" text-anchor="middle" font-family="sans-serif" font-weight="700" font-size="${size}" fill="#fff">${text}</text></svg>`;
  return `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`;
}

export const NODE_HEIGHT = 56;
/** Wide enough for both lines of the label beside the badge. */
export function nodeWidth(node: GraphNode): number {
  const tapered =
    node.kind === "internet" || node.kind === "node" ? 44 : node.kind === "aws" ? 26 : node.kind === "service" ? 36 : 0;
  return Math.min(340, Math.max(112, 56 + tapered + 7.6 * Math.max(node.label.length, node.detail.length)));
}

/** From here on, smaller, a box shows its name alone, larger, on two lines where it is long. */
export const FAR_ZOOM = 0.62;
/** Points of a name in its box, and of one that stands alone. */
export const NEAR_SIZE = 14;
export const FAR_SIZE = 21;
const FAR_LINE = 13;

/** A name on at most two lines, cut where words meet, as near to its middle as can be. */
export function farLabel(text: string): string {
  const cuts = [...text.matchAll(/[-._/ ]/g)].map(({ index }) => index + 1).filter((at) => at < text.length);
  if (text.length <= FAR_LINE || (cuts.length === 0 && text.length <= FAR_LINE + 4)) return text;
  const off = (at: number): number => Math.abs(at - text.length / 2);
  const cut = cuts.sort((a, b) => off(a) - off(b))[0] ?? FAR_LINE;
  const most = Math.max(FAR_LINE, Math.ceil(text.length * 0.7));
  return `${shorten(text.slice(0, cut), most)}\n${shorten(text.slice(cut), most)}`;
}

export const shorten = (text: string, most = 34): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

const SHAPES: Record<GraphNode["kind"], string> = {
  workload: "round-rectangle",
  namespace: "round-rectangle",
  pod: "rectangle",
  node: "hexagon",
  service: "round-tag",
  aws: "barrel",
  internet: "ellipse",
  unknown: "rectangle",
  more: "cut-rectangle",
};
export const shapeOf = (kind: GraphNode["kind"]): string => SHAPES[kind];

export function stylesheet(theme: Theme): StylesheetJson {
  const colour = PALETTES[theme];
  const font = { "font-family": '"Open Sans", "Helvetica Neue", Roboto, Arial, sans-serif', color: colour.text };
  return [
    {
      selector: "node[width]",
      style: {
        ...font,
        label: "data(label)",
        shape: "data(shape)" as never,
        width: "data(width)",
        height: NODE_HEIGHT,
        "background-color": colour.surface,
        "border-color": colour.line,
        "border-width": 1.5,
        "text-valign": "center",
        "text-halign": "center",
        "text-wrap": "wrap",
        "text-justification": "left",
        "text-margin-x": 15,
        "font-size": NEAR_SIZE,
        "line-height": 1.25,
        "min-zoomed-font-size": 4,
        "background-image": "data(badge)",
        "background-width": "26px",
        "background-height": "26px",
        "background-position-x": "10px",
        "background-position-y": "50%",
        "background-fit": "none",
        "background-clip": "none",
      },
    },
    {
      selector: "node[kind = 'internet'], node[kind = 'aws'], node[kind = 'node']",
      style: { "background-color": colour.outside, "background-position-x": "24px" },
    },
    { selector: "node[kind = 'unknown'], node[kind = 'more']", style: { "border-style": "dashed" } },
    {
      selector: "node.far[width]",
      style: {
        label: "data(far)",
        "font-size": FAR_SIZE,
        "line-height": 1.05,
        "text-margin-x": 0,
        "text-justification": "center",
        "background-image-opacity": 0,
        "min-zoomed-font-size": 3,
      },
    },
    {
      selector: "node:parent",
      style: {
        ...font,
        label: "data(label)",
        shape: "round-rectangle",
        "background-color": colour.group,
        "background-image": "none",
        "border-color": colour.groupLine,
        "border-width": 1,
        "text-valign": "top",
        "text-halign": "center",
        "text-margin-x": 0,
        "text-margin-y": -4,
        "font-size": 15,
        "font-weight": 700,
        color: colour.soft,
        padding: "18px",
        "min-zoomed-font-size": 4,
      },
    },
    { selector: "node.far:parent", style: { "font-size": 25, "min-zoomed-font-size": 3 } },
    { selector: "node:parent[kind = 'outside']", style: { "border-style": "dashed", "background-opacity": 0.4 } },
    {
      selector: "edge",
      style: {
        ...font,
        width: "data(width)",
        "line-color": colour.edge,
        "target-arrow-color": colour.edge,
        "target-arrow-shape": "triangle",
        "arrow-scale": 1,
        "curve-style": "unbundled-bezier",
        "control-point-distances": "data(bend)" as never,
        "control-point-weights": 0.5 as never,
        label: "data(label)",
        "font-size": 12.5,
        color: colour.soft,
        "text-background-color": colour.group,
        "text-background-opacity": 0.92,
        "text-background-padding": "2px",
        "text-background-shape": "roundrectangle",
        "min-zoomed-font-size": 6,
      },
    },
    {
      selector: "edge.loop",
      style: {
        "curve-style": "bezier",
        "control-point-distances": 56,
        "loop-direction": "0deg",
        "loop-sweep": "60deg",
        width: 2.5,
        "arrow-scale": 0.8,
      },
    },
    { selector: "edge.far", style: { "font-size": 18 } },
    {
      selector: "edge[?quiet]",
      style: { label: "", "line-style": "dotted", "arrow-scale": 0.8, "line-opacity": 0.75 },
    },
    {
      selector: "edge[!answered]",
      style: { "line-style": "dashed", "line-dash-pattern": [3, 5], "target-arrow-shape": "tee" },
    },
    {
      selector: "edge[verdict]",
      style: {
        label: "data(label)",
        "line-style": "dashed",
        "line-opacity": 1,
        "font-weight": 700,
        "arrow-scale": 1.2,
        "z-index": 4,
      },
    },
    {
      selector: "edge[verdict = 'denied'], edge[verdict = 'partly']",
      style: {
        "line-color": colour.refused,
        color: colour.refused,
        "line-dash-pattern": [10, 5],
        "target-arrow-color": colour.refused,
        "target-arrow-shape": "tee",
      },
    },
    {
      selector: "edge[verdict = 'partly']",
      style: { "line-dash-pattern": [22, 5], "target-arrow-shape": "triangle-tee" },
    },
    {
      selector: "edge[verdict = 'would_deny']",
      style: {
        "line-color": colour.warned,
        color: colour.warned,
        "line-dash-pattern": [4, 4],
        "target-arrow-color": colour.warned,
        "target-arrow-shape": "triangle",
        "target-arrow-fill": "hollow",
      },
    },
    {
      selector: "edge[?denied]",
      style: {
        label: "data(label)",
        "line-style": "dashed",
        "line-dash-pattern": [14, 4, 3, 4],
        "line-opacity": 1,
        "line-color": colour.refused,
        color: colour.refused,
        "font-weight": 700,
        "target-arrow-color": colour.refused,
        "target-arrow-shape": "triangle-cross",
        "arrow-scale": 1.3,
        "z-index": 4,
      },
    },
    { selector: ".crowded[!denied][!verdict]", style: { label: "", "line-opacity": 0.4, "arrow-scale": 0.8 } },
    { selector: "edge.loop[!denied][!verdict]", style: { label: "" } },
    { selector: "node.dim", style: { opacity: 0.28 } },
    {
      selector: "edge.dim",
      style: { "line-color": colour.faint, "target-arrow-color": colour.faint, label: "", "z-index": 0 },
    },
    { selector: "node.near", style: { "border-color": colour.accent, "border-width": 2 } },
    {
      selector: "edge.near",
      style: {
        "line-color": colour.accent,
        "target-arrow-color": colour.accent,
        label: "data(label)",
        "line-opacity": 1,
        "z-index": 5,
      },
    },
    { selector: "node.chosen", style: { "border-color": colour.accent, "border-width": 4 } },
    {
      selector: "edge.chosen",
      style: {
        "line-color": colour.accent,
        "target-arrow-color": colour.accent,
        label: "data(label)",
        "line-opacity": 1,
        color: colour.accent,
        "font-weight": 700,
        "font-size": 14,
        "min-zoomed-font-size": 0,
        "z-index": 9,
      },
    },
    { selector: "edge.far.chosen", style: { "font-size": 21 } },
    {
      selector: "edge.chosen[verdict = 'denied'], edge.chosen[verdict = 'partly']",
      style: { "line-color": colour.refused, "target-arrow-color": colour.refused, color: colour.refused },
    },
    {
      selector: "edge.chosen[verdict = 'would_deny']",
      style: { "line-color": colour.warned, "target-arrow-color": colour.warned, color: colour.warned },
    },
  ];
}
