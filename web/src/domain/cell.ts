/** What stands in one field of a table. */
export interface Cell {
  text: string;
  /** Why the value is unknown; null when it is known. */
  why: string | null;
  /** A second line: what exactly. */
  note?: string;
}
