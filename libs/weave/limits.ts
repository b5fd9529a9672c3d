import { inspect, types, type InspectOptions } from 'node:util';

/** The longest name of a lock, queue, tag or group, in bytes of UTF-8. Longer cache keys are hashed. */
export const NAME_MAX_BYTES = 1_024;

/** How deep objects and arrays may be nested: in payloads, in cached values, and in arguments from which a key is made. */
export const DEPTH_MAX = 200;

/** How many characters of foreign text a message shows. */
const SHOWN_CHARS = 200;
const SHOWN_KEYS = 20;

/** How messages show objects: on one line, one level deep, without custom inspection, which would run foreign code. */
const OBJECT_SHOWN: InspectOptions = {
  depth: 0,
  breakLength: Infinity,
  compact: true,
  customInspect: false,
  maxArrayLength: 3,
  maxStringLength: 20,
};

/** Whether the text takes more than `bytes` bytes of UTF-8. */
export function isLongerThan(text: string, bytes: number): boolean {
  // A UTF-16 unit takes one to three bytes, so only a text between these limits has to be measured.
  return text.length * 3 > bytes && (text.length > bytes || Buffer.byteLength(text) > bytes);
}

/** Whether objects and arrays of a JSON text are nested more than `depth` levels deep. Ends at the first that is. */
export function isDeeperThan(json: string, depth: number): boolean {
  // Each level takes two characters, so for most texts the length, or the number of braces and brackets, is enough to know.
  return json.length > 2 * depth && hasOpening(json, depth) && hasLevel(json, depth + 1);
}

/** Whether the text has more than `most` opening braces and brackets. */
function hasOpening(json: string, most: number): boolean {
  let count = 0;
  for (const opening of '[{') {
    for (let at = json.indexOf(opening); at >= 0; at = json.indexOf(opening, at + 1)) if (++count > most) return true;
  }
  return false;
}

function hasLevel(json: string, level: number): boolean {
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case 0x22: // "
        at = endOfString(json, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth === level) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
  }
  return false;
}

/** The position of the quotation mark that ends a string; the end of the text if there is none. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let before = end - 1;
    while (json.charCodeAt(before) === 0x5c) before--;
    // A quotation mark ends the string only after an even number of backslashes.
    if ((end - before) % 2 === 1) return end;
  }
  return json.length;
}

/** The last instant that a Date can have, in milliseconds. */
const DATE_MAX_MS = 8.64e15;

/** An instant that was read from Redis; 0 if a Date cannot have this instant. */
export function instantIn(ms: number): number {
  return ms >= 0 && ms <= DATE_MAX_MS ? ms : 0;
}

/** A count that was read from Redis; `otherwise` if the text is no count. */
export function countIn(text: string | undefined, otherwise: number): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : otherwise;
}

/** Whether the text has no lone surrogates. UTF-8 has one replacement for all of them, so two names would become one. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** The beginning of a text that is longer than a message should be, with its length. */
export function clip(text: string, chars = SHOWN_CHARS): string {
  if (text.length <= chars) return text;
  // The first half of a pair would be a lone surrogate.
  const kept = text.slice(0, chars).replace(/[\ud800-\udbff]$/, '');
  return `${kept}… (${text.length} characters)`;
}

/**
 * Shows a foreign value in a message: short, on one line, text in quotes and with its control characters escaped. It takes no
 * longer for a large value, and never throws.
 */
export function show(value: unknown, chars = SHOWN_CHARS): string {
  if (typeof value === 'string') return showText(value, chars);
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return clip(String(value), chars);
  try {
    if (types.isProxy(value)) return 'a proxy';
    if (types.isNativeError(value)) return `an error with the message ${show(value.message, chars)}`;
    if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
    const keys = Array.isArray(value) ? 0 : Object.keys(value).length;
    if (keys > SHOWN_KEYS) return `an object of ${keys} keys`;
    return clip(inspect(value, OBJECT_SHOWN).replace(/\p{Cc}+/gu, ' '), chars);
  } catch {
    return 'an object that cannot be shown';
  }
}

function showText(text: string, chars: number): string {
  const quoted = inspect(text.slice(0, chars), { breakLength: Infinity });
  return text.length <= chars ? quoted : `${quoted}… (${text.length} characters)`;
}
