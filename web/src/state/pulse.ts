/** A counter that rises every `ms`: for what changes without flows, such as what is in force. */
import { useEffect, useState } from "react";

export function usePulse(ms: number): { beat: number; now: () => void } {
  const [beat, setBeat] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setBeat((n) => n + 1);
    }, ms);
    return () => clearInterval(timer);
  }, [ms]);
  return { beat, now: () => setBeat((n) => n + 1) };
}
