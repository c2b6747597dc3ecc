import Button from "@cloudscape-design/components/button";
import type { RefObject } from "react";
import type { Canvas } from "./canvas";

const STEP = 1.4;

/** What the wheel does, for those without one. */
export function Zoom({ canvasRef }: { canvasRef: RefObject<Canvas | null> }) {
  const zoom = (factor: number): void => canvasRef.current?.zoom(factor);
  return (
    <div className="ew-zoom" role="group" aria-label="Zoom">
      <Button variant="icon" iconName="zoom-in" ariaLabel="Larger (+)" onClick={() => zoom(STEP)} />
      <Button variant="icon" iconName="zoom-out" ariaLabel="Smaller (-)" onClick={() => zoom(1 / STEP)} />
      <Button
        variant="icon"
        iconName="zoom-to-fit"
        ariaLabel="Fit the map (f)"
        onClick={() => canvasRef.current?.fit()}
      />
      <Button
        variant="icon"
        iconName="refresh"
        ariaLabel="Arrange the map afresh"
        onClick={() => canvasRef.current?.rearrange()}
      />
    </div>
  );
}
