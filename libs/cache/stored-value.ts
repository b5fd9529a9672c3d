/** A value as Redis keeps it: one line of header, then the codec's text. Written by `HEADER_LUA`. */
export interface StoredValue {
  /** What the codec wrote. */
  readonly text: string;
  /** The epoch of everything that it was loaded in. */
  readonly epoch: string;
  /** Until then it is fresh, in milliseconds of the server's clock. */
  readonly freshUntilMs: number;
  /** How long its load took. */
  readonly loadMs: number;
  /** Its tags, as they are encoded, and beside each the epoch that it was loaded in. */
  readonly tags: readonly string[];
  readonly tagEpochs: readonly string[];
}

const NONE: readonly string[] = [];

/** Reads the header; `undefined` where there is none of this format. */
export function parseStored(stored: string): StoredValue | undefined {
  if (!stored.startsWith('^1 ')) return undefined;
  const end = stored.indexOf('\n');
  if (end < 0) return undefined;
  const [, epoch = '', freshUntil, load, ...tagged] = stored.slice(0, end).split(' ');
  const text = stored.slice(end + 1);
  const value = { text, epoch, freshUntilMs: Number(freshUntil), loadMs: Number(load) };
  if (tagged.length === 0) return { ...value, tags: NONE, tagEpochs: NONE };
  const pairs = tagged.map((pair) => pair.split('='));
  return { ...value, tags: pairs.map(([tag = '']) => tag), tagEpochs: pairs.map(([, of = '']) => of) };
}
