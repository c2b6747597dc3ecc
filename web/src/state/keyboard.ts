/** Listens for the keyboard path and hands commands on. */
import { useEffect, useRef } from "react";
import { interpret, type Command } from "../domain/keys";

function takesText(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Calls `run` for every command; true from it keeps the key from doing anything else. */
export function useKeyboard(run: (command: Command) => boolean): void {
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  useEffect(() => {
    let before: "g" | null = null;
    const press = (event: KeyboardEvent): void => {
      if (event.defaultPrevented) return;
      const modified = event.ctrlKey || event.altKey || event.metaKey;
      const { command, next } = interpret({ key: event.key, modified, typing: takesText(event.target) }, before);
      before = next;
      if (command && latest.current(command)) event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}
