import Button from "@cloudscape-design/components/button";
import { useEffect, useRef, type ReactNode } from "react";

/** What was opened, beside what it was opened from; never over the filter bar. Takes focus when nothing has it, and gives it back. */
export function SidePanel({
  title,
  subtitle,
  onClose,
  children,
}: {
  title: string;
  subtitle?: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (document.activeElement === document.body) heading.current?.focus();
  }, [title]);
  useEffect(() => {
    const opener = document.activeElement;
    return () => {
      const lost = document.activeElement === document.body || !document.activeElement?.isConnected;
      if (lost && opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <aside className="ew-panel" aria-label={title} data-testid="panel">
      <div className="ew-panel-head">
        <div>
          <h2 ref={heading} tabIndex={-1}>
            {title}
          </h2>
          {subtitle && <p className="ew-soft">{subtitle}</p>}
        </div>
        <Button variant="icon" iconName="close" ariaLabel="Close the panel" onClick={onClose} />
      </div>
      <div className="ew-panel-body">{children}</div>
    </aside>
  );
}
