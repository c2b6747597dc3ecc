/** Problems that end on their own: the server, or what stands before it, does not answer just now. */
import type { Problem } from "../api/types";

/** Status 0 is no answer at all; 502 and 504 are a proxy's, 503 also a server's that is starting. */
export const isPassing = ({ status }: Pick<Problem, "status">): boolean => [0, 502, 503, 504].includes(status);
