import { useEffect, useId, useRef, useState, type KeyboardEvent, type RefObject } from "react";
import type { FilterCheck } from "../api/types";
import { apply, underline } from "../domain/completion";
import { useAnswer } from "../state/answer";
import { useSettled } from "../state/settled";

const PAUSE_MS = 120;

interface Properties {
  value: string;
  input: RefObject<HTMLInputElement | null>;
  onSubmit: (filter: string) => void;
}

/** The text again behind the field, invisible but for a wavy line under what the server did not understand. */
function Underline({ text, check }: { text: string; check: FilterCheck | null }) {
  const parts = underline(text, check?.error ?? null);
  return (
    <div className="ew-filter-under" aria-hidden="true">
      {parts.before}
      <span className="ew-wrong">{parts.wrong}</span>
      {parts.after}
    </div>
  );
}

/** A filter that the server reads, completes and corrects while it is typed. Enter applies it. */
export function FilterBar({ value, input, onSubmit }: Properties) {
  const [text, setText] = useState(value);
  const [cursor, setCursor] = useState(value.length);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [typing, setTyping] = useState(false);
  const [applied, setApplied] = useState(value);
  const list = useId();
  const place = useRef<number | null>(null);
  if (applied !== value) {
    setApplied(value);
    setText(value);
  }
  const settled = useSettled(text, PAUSE_MS);
  const asked = { filter: settled, cursor: Math.min(cursor, settled.length) };
  const answer = useAnswer<FilterCheck>(typing || value ? "filter/complete" : null, asked);
  const loading = answer.loading || settled !== text;
  const check = answer.data;
  const choices = open && check && !loading ? check.completions.slice(0, 12) : [];
  const error = text.trim() && !loading ? check?.error : null;
  const unfinished = error != null && typing && error.position >= text.trimEnd().length;
  useEffect(() => {
    if (place.current == null) return;
    input.current?.setSelectionRange(place.current, place.current);
    place.current = null;
  });
  const accept = (choice: string): void => {
    const next = apply(text, cursor, check?.replace_from ?? cursor, choice);
    setText(next.text);
    setCursor(next.cursor);
    place.current = next.cursor;
    setActive(-1);
    input.current?.focus();
  };
  const submit = (): void => {
    setOpen(false);
    if (!error) onSubmit(text.trim());
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (choices.length) setActive((active + step + choices.length) % choices.length);
    } else if (event.key === "Enter" || (event.key === "Tab" && open && active >= 0)) {
      event.preventDefault();
      const choice = choices[active];
      if (choice != null) accept(choice);
      else submit();
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  return (
    <div className="ew-filter" role="search">
      <div className={`ew-filter-box ${error && !unfinished ? "ew-filter-bad" : ""}`}>
        <Underline text={text} check={error && !unfinished ? check : null} />
        <input
          ref={input}
          role="combobox"
          aria-label="Filter"
          aria-expanded={choices.length > 0}
          aria-controls={list}
          aria-autocomplete="list"
          aria-activedescendant={active >= 0 ? `${list}-${active}` : undefined}
          aria-invalid={error != null && !unfinished}
          aria-describedby={error ? `${list}-error` : undefined}
          placeholder="Filter ( / ), for example: src_namespace=ui and dst_port=8080 and bytes_forward>1MB"
          spellCheck={false}
          autoComplete="off"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setCursor(event.target.selectionStart ?? event.target.value.length);
            setActive(-1);
            setOpen(true);
          }}
          onSelect={(event) => setCursor(event.currentTarget.selectionStart ?? text.length)}
          onFocus={() => {
            setTyping(true);
            setOpen(true);
          }}
          onBlur={() => {
            setTyping(false);
            setOpen(false);
          }}
          onKeyDown={press}
        />
        {text && (
          <button
            type="button"
            className="ew-filter-clear"
            aria-label="Clear the filter"
            onClick={() => {
              setText("");
              onSubmit("");
            }}
          >
            ×
          </button>
        )}
      </div>
      {error && !unfinished && (
        <p className="ew-filter-error" id={`${list}-error`} role="alert">
          {error.message}
        </p>
      )}
      <ul id={list} role="listbox" aria-label="Completions" className="ew-completions" hidden={choices.length === 0}>
        {choices.map((choice, index) => (
          <li
            key={choice}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === active}
            onMouseDown={(event) => {
              event.preventDefault();
              accept(choice);
            }}
          >
            {choice}
          </li>
        ))}
      </ul>
    </div>
  );
}
