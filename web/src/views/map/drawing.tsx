import { useEffect, useRef, type RefObject } from "react";
import type { Found } from "../../domain/find";
import type { Graph } from "../../domain/graph";
import type { Selected } from "../../domain/url";
import type { Theme } from "../../state/theme";
import { createCanvas, LARGE_EDGES, type Canvas } from "./canvas";

interface Properties {
  graph: Graph;
  /** What is asked, or null while `graph` still answers the question before. */
  question: string | null;
  selected: Selected | null;
  found: Found | null;
  pointed: string | null;
  theme: Theme;
  canvasRef: RefObject<Canvas | null>;
  onSelect: (selected: Selected | null) => void;
}

/** The picture. Screen readers and the keyboard use the list beside it, which names every element. */
export function Drawing({ graph, question, selected, found, pointed, theme, canvasRef, onSelect }: Properties) {
  const box = useRef<HTMLDivElement>(null);
  const select = useRef(onSelect);
  const large = graph.edges.length > LARGE_EDGES;
  const firstTheme = useRef(theme);
  useEffect(() => {
    select.current = onSelect;
  });
  useEffect(() => {
    if (!box.current) return undefined;
    const made = createCanvas(box.current, firstTheme.current, large, (chosen) => select.current(chosen));
    canvasRef.current = made;
    const watch = new ResizeObserver(() => made.resize());
    watch.observe(box.current);
    return () => {
      watch.disconnect();
      made.destroy();
      canvasRef.current = null;
    };
  }, [canvasRef, large]);
  useEffect(() => canvasRef.current?.theme(theme), [canvasRef, large, theme]);
  useEffect(() => {
    if (question != null) canvasRef.current?.draw(graph, question);
  }, [canvasRef, graph, large, question]);
  useEffect(
    () => canvasRef.current?.mark(selected, found, pointed),
    [canvasRef, graph, large, question, selected, found, pointed],
  );
  return (
    <div
      className="ew-canvas"
      ref={box}
      aria-hidden="true"
      data-testid="canvas"
      data-nodes={graph.nodes.length}
      data-edges={graph.edges.length}
    />
  );
}
