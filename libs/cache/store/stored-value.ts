/** A value as Redis keeps it: one line of header, then the codec's text. Written by `HEADER`. */
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
  if (epochEnd <= 3 || untilEnd < 0 || untilEnd > end) return undefined;
  const tagged = stored.indexOf(' ', untilEnd + 1);
  const loadEnd = tagged < 0 || tagged > end ? end : tagged;
  const freshUntilMs = timeIn(stored, epochEnd + 1, untilEnd);
  const loadMs = timeIn(stored, untilEnd + 1, loadEnd);
  if (freshUntilMs === undefined || loadMs === undefined) return undefined;
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
    freshUntilMs,
    loadMs,
    tags: pairs?.map(([tag]) => tag) ?? NONE,
    tagEpochs: pairs?.map(([, of]) => of) ?? NONE,
  };
}

/** Digits alone, and no more than a time has: as the scripts read it. */
function timeIn(stored: string, from: number, to: number): number | undefined {
  if (to <= from || to - from > 15) return undefined;
  let ms = 0;
  for (let at = from; at < to; at++) {
    const digit = stored.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return undefined;
    ms = ms * 10 + digit;
  }
  return ms;
}

function pairOf(said: string): [tag: string, epoch: string] {
  const [tag = '', epoch = ''] = said.split('=');
  return [tag, epoch];
}

/**
 * Tags that may be kept for longer than the value. A part of a text of 13 characters or more is no text of its own in V8: it
 * keeps the whole alive, which here is the value's reply.
 */
export function detached(tags: readonly string[]): readonly string[] {
  return tags.length === 0 ? NONE : tags.map((tag) => Buffer.from(tag).toString());
}
