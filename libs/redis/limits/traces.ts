/** The bytes of a nonce. */
export const NONCE_BYTES = 8;

/** How many calls a state remembers, to know them again when they are sent twice, and what each of them takes. */
export const TRACES = 4;
export const TRACE_BYTES = NONCE_BYTES + 4;
