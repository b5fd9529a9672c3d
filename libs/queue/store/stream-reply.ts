/** What one stream gave to a read. */
export type Batch = [stream: string, entries: [id: string, fields: string[]][]];

/** The reply of XREADGROUP. RESP2 answers pairs; RESP3 a map, which ioredis lays flat; nothing to read is nil. */
export function batches(reply: unknown): Batch[] {
  if (!Array.isArray(reply)) return [];
  if (typeof reply[0] !== 'string') return reply as Batch[];
  const flat = reply as unknown[];
  return flat.flatMap((stream, i) => (i % 2 === 0 ? [[stream, flat[i + 1]] as Batch] : []));
}

/** Names and values in turn as an object; of a name that comes twice, the last value. */
export function fieldsOf(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}
