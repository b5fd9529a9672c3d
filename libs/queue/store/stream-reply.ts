/** A stream entry as Redis hands it out. */
export interface Entry {
  readonly id: string;
  /** Names and values in turn. */
  readonly fields: readonly string[];
  /** How often it was handed out, this time included. */
  readonly deliveries: number;
}

/** What one stream gave to a read. */
export type StreamEntries = [stream: string, entries: [id: string, fields: string[]][]];

/** The reply of XREADGROUP. RESP2 answers pairs; RESP3 a map, which ioredis lays flat; nothing to read is nil. */
export function batches(reply: unknown): StreamEntries[] {
  if (!Array.isArray(reply)) return [];
  if (typeof reply[0] !== 'string') return reply as StreamEntries[];
  const flat = reply as unknown[];
  return flat.flatMap((stream, i) => (i % 2 === 0 ? [[stream, flat[i + 1]] as StreamEntries] : []));
}

/** Names and values in turn as an object; of a name that comes twice, the last value. */
export function fieldsOf(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}
