import Button from "@cloudscape-design/components/button";
import type { MouseEvent, ReactNode } from "react";
import { formatUrl, type Page, type ViewState } from "../domain/url";
import { setView } from "../state/view";

const PAGES: readonly { page: Page; text: string }[] = [
  { page: "overview", text: "Overview" },
  { page: "map", text: "Map" },
  { page: "flows", text: "Flows" },
  { page: "policies", text: "Policies" },
  { page: "enforcement", text: "Enforcement" },
];

/** Links are real links: they open in a new tab, and carry range and namespace along. */
function PageLink({ view, page, text }: { view: ViewState; page: Page; text: string }) {
  const go = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setView({ page });
  };
  return (
    <a
      className="ew-link"
      href={formatUrl({ ...view, page })}
      onClick={go}
      aria-current={view.page === page ? "page" : undefined}
    >
      {text}
    </a>
  );
}

interface Properties {
  view: ViewState;
  dark: boolean;
  onTheme: () => void;
  onHelp: () => void;
  children: ReactNode;
}

export function TopBar({ view, dark, onTheme, onHelp, children }: Properties) {
  return (
    <header className="ew-top">
      <span className="ew-brand">
        <img src="/icon.svg" alt="" width="22" height="22" /> eastwest
      </span>
      <nav aria-label="Pages" className="ew-pages">
        {PAGES.map(({ page, text }) => (
          <PageLink key={page} view={view} page={page} text={text} />
        ))}
      </nav>
      <div className="ew-top-end">
        {children}
        <Button variant="normal" onClick={onTheme} ariaLabel={dark ? "Use the light theme" : "Use the dark theme"}>
          {dark ? "Light" : "Dark"}
        </Button>
        <Button variant="icon" iconName="keyboard" onClick={onHelp} ariaLabel="Keyboard shortcuts" />
      </div>
    </header>
  );
}
