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

const FORMAT = '^1 ';

/** What the codec wrote, and nothing of the header; `undefined` where there is none of this format. */
export function textOf(stored: string): string | undefined {
  const end = stored.startsWith(FORMAT) ? stored.indexOf('\n') : -1;
  return end < 0 ? undefined : stored.slice(end + 1);
}

/** Reads the header; `undefined` where there is none of this format. */
export function parseStored(stored: string): StoredValue | undefined {
  if (!stored.startsWith(FORMAT)) return undefined;
  const end = stored.indexOf('\n');
  if (end < 0) return undefined;
  // Read where it stands: a split costs more than all the rest of a hit's way.
  const epochEnd = stored.indexOf(' ', 3);
  const untilEnd = stored.indexOf(' ', epochEnd + 1);
  if (epochEnd < 0 || untilEnd < 0 || untilEnd > end) return undefined;
  const tagged = stored.indexOf(' ', untilEnd + 1);
  const loadEnd = tagged < 0 || tagged > end ? end : tagged;
  const pairs =
    loadEnd === end
      ? undefined
      : stored
          .slice(loadEnd + 1, end)
          .split(' ')
          .map(pairOf);
  return {
    text: stored.slice(end + 1),
    epoch: stored.slice(3, epochEnd),
    freshUntilMs: Number(stored.slice(epochEnd + 1, untilEnd)),
    loadMs: Number(stored.slice(untilEnd + 1, loadEnd)),
    tags: pairs?.map(([tag]) => tag) ?? NONE,
    tagEpochs: pairs?.map(([, of]) => of) ?? NONE,
  };
}

function pairOf(said: string): [tag: string, epoch: string] {
  const [tag = '', epoch = ''] = said.split('=');
  return [tag, epoch];
}
