import { SluiceError, NAME_MAX_BYTES, badOption, isLongerThan, isWellFormed, show } from '../../weave/index.js';

/** The most tags of one value. Each question to Redis contains all of them. */
const TAGS_MAX = 1_000;

/**
 * Tags as they are sent to Redis: without spaces, without `=`, and without duplicates.
 *
 * @param most how many tags are allowed
 * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION` naming what is wrong
 */
export function encodeTags(path: string, tags: unknown, most = TAGS_MAX): readonly string[] {
  if (!Array.isArray(tags)) throw badOption(path, 'a list of tags', tags);
  if (tags.length > most) throw badOption(path, `a list of at most ${most} tags`, tags);
  return [...new Set(tags.map((tag) => encodeTag(path, tag)))];
}

function encodeTag(path: string, tag: unknown): string {
  if (typeof tag !== 'string' || tag === '') throw badTag(path, tag, 'a non-empty string');
  if (isLongerThan(tag, NAME_MAX_BYTES)) throw badTag(path, tag, `at most ${NAME_MAX_BYTES} bytes long`);
  if (!isWellFormed(tag)) throw badTag(path, tag, 'free of lone surrogates');
  return encodeURIComponent(tag);
}

function badTag(path: string, tag: unknown, wanted: string): SluiceError {
  return new SluiceError('SLUICE_BAD_NAME', `${path}: a tag must be ${wanted}, got ${show(tag)}`);
}
