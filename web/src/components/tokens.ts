/** Cloudscape's design tokens under the names our own style sheet uses; they follow dark and light by themselves. */
import * as tokens from "@cloudscape-design/design-tokens";
import type { CSSProperties } from "react";

const VARIABLES: Record<string, string> = {
  "--ew-page": tokens.colorBackgroundLayoutMain,
  "--ew-surface": tokens.colorBackgroundContainerContent,
  "--ew-hover": tokens.colorBackgroundDropdownItemHover,
  "--ew-chosen": tokens.colorBackgroundItemSelected,
  "--ew-line": tokens.colorBorderDividerDefault,
  "--ew-input": tokens.colorBorderInputDefault,
  "--ew-text": tokens.colorTextBodyDefault,
  "--ew-soft": tokens.colorTextBodySecondary,
  "--ew-heading": tokens.colorTextHeadingDefault,
  "--ew-accent": tokens.colorTextAccent,
  "--ew-error": tokens.colorTextStatusError,
  "--ew-focus": tokens.colorBorderItemFocused,
};

export const SHELL_STYLE = VARIABLES as CSSProperties;
