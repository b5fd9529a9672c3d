/** A value as Redis keeps it: one line of header, then the codec's text. The fragment `HEADER` writes the header. */
export interface StoredValue {
  /** The text that the codec wrote. */
  readonly text: string;
  /** The epoch of everything when the value was loaded. */
  readonly epoch: string;
  /** Until this time the value is fresh, in milliseconds of the server's clock. */
  readonly freshUntilMs: number;
  /** How long the load took. */
  readonly loadMs: number;
  /** The tags, encoded. */
  readonly tags: readonly string[];
  /** The epoch of each tag when the value was loaded, in the order of `tags`. */
  readonly tagEpochs: readonly string[];
}

const NONE: readonly string[] = [];

const FORMAT = '^1 ';

/** The codec's text without the header. `undefined` if there is no header of this format. */
export function textOf(stored: string): string | undefined {
  const end = stored.startsWith(FORMAT) ? stored.indexOf('\n') : -1;
  return end < 0 ? undefined : stored.slice(end + 1);
}

/** Reads the header. `undefined` if there is no header of this format. */
export function parseStored(stored: string): StoredValue | undefined {
  if (!stored.startsWith(FORMAT)) return undefined;
  const end = stored.indexOf('\n');
  if (end < 0) return undefined;
  // The header is read in place: a split costs more than everything else that a hit does.
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

/** A time, which has only digits, and 15 at most. The scripts read it in the same way. */
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
 * Tags that may be kept for longer than the value. In V8, a substring of 13 characters or more is no text of its own: it keeps
 * the whole text alive, which here is the value's reply.
 */
export function detached(tags: readonly string[]): readonly string[] {
  return tags.length === 0 ? NONE : tags.map((tag) => Buffer.from(tag).toString());
}
