import { SluiceError, badOption } from '../../weave/index.js';

/**
 * Tags as Redis sees them: free of spaces and of `=`, without repetition.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION` naming what is wrong
 */
export function encodeTags(path: string, tags: unknown): readonly string[] {
  if (!Array.isArray(tags)) throw badOption(path, 'a list of tags', tags);
  return [...new Set(tags.map((tag) => encodeTag(path, tag)))];
}

function encodeTag(path: string, tag: unknown): string {
  if (typeof tag === 'string' && tag !== '' && isWellFormed(tag)) return encodeURIComponent(tag);
  throw new SluiceError('SLUICE_BAD_NAME', `${path}: a tag must be a non-empty string, got ${String(tag)}`);
}

/** Free of lone surrogates, which no encoding of text has room for. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
