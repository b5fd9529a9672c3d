/** A stream entry as Redis delivers it. */
export interface Entry {
  readonly id: string;
  /** Names and values in turn. */
  readonly fields: readonly string[];
  /** How often the entry was delivered, this time included. */
  readonly deliveries: number;
}

/** The entries of one stream in a read's reply. */
export type StreamEntries = [stream: string, entries: [id: string, fields: string[]][]];

/**
 * The reply of XREADGROUP. With RESP2 it has pairs. With RESP3 it is a map, which ioredis makes a flat list. It is nil if there
 * is nothing to read.
 */
export function batches(reply: unknown): StreamEntries[] {
  if (!Array.isArray(reply)) return [];
  if (typeof reply[0] !== 'string') return reply as StreamEntries[];
  const flat = reply as unknown[];
  return flat.flatMap((stream, i) => (i % 2 === 0 ? [[stream, flat[i + 1]] as StreamEntries] : []));
}

/** Makes an object of names and values in turn. If a name comes twice, its last value counts. */
export function fieldsOf(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}
