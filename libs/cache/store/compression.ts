import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';

/** Texts that begin with this are brotli in base64. No text of the codec's does. */
const PACKED = '~c';

/**
 * No text becomes larger than this by being unpacked: a few bytes in Redis, written by whoever may write there, must not fill a
 * process' memory. Nor, beyond a size that harms nobody, so many times as long as it was packed. Records of one shape pack to a
 * tenth; only what says the same again and again packs to less than a two-hundredth. What could not be read is stored as it is.
 */
export const UNPACKED_MAX_BYTES = 8 * 1024 * 1024;
const UNPACKED_ANYWAY_BYTES = 1024 * 1024;
const UNPACKED_MAX_RATIO = 200;

/**
 * The text packed, if it is as long as that and gets shorter by it. Quality 1: at 1.4 ms per MB either way a third faster than
 * deflate and smaller (see ADR 10); higher ones cost three times as much.
 */
export function pack(text: string, thresholdBytes: number): string {
  if (text.length < thresholdBytes) return text;
  const bytes = Buffer.from(text);
  if (bytes.length > UNPACKED_MAX_BYTES) return text;
  const packed = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
  const said = PACKED + packed.toString('base64');
  return said.length < bytes.length && bytes.length <= unpackedMost(said) ? said : text;
}

/** The text as it was before it was packed, if it was. Throws when it cannot be unpacked, or would be too large. */
export function unpack(text: string): string {
  if (!text.startsWith(PACKED)) return text;
  const packed = Buffer.from(text.slice(PACKED.length), 'base64');
  return brotliDecompressSync(packed, { maxOutputLength: unpackedMost(text) }).toString();
}

function unpackedMost(packed: string): number {
  return Math.min(UNPACKED_MAX_BYTES, Math.max(UNPACKED_ANYWAY_BYTES, packed.length * UNPACKED_MAX_RATIO));
}
