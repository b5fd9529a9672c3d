import { encodeOf } from '../codec/codec.js';
import { isTrue, ttlOf } from '../load-options.js';
import { copiesOf, DecodedCopies, type Copies } from '../local/decoded-copies.js';
import { resultTagsOf } from './load-lease.js';
import type { ReadContext, ReadRequest } from './read-context.js';

/** A copy of this process that `onBackendDown` allows while Redis does not answer. */
export function copyInOutage(
  { local }: Pick<ReadContext, 'local'>,
  { key, entry, options, meter }: Pick<ReadRequest, 'key' | 'entry' | 'options' | 'meter'>,
): Copies | undefined {
  const { onBackendDown, revive } = options;
  const copy = typeof onBackendDown === 'number' ? local?.readInOutage(entry, onBackendDown) : undefined;
  if (copy === undefined) return undefined;
  meter.hit(key, 'local');
  return copiesOf(copy, revive);
}

/**
 * Loads without Redis, and keeps the value in this process if `onBackendDown` is a number. Like any other copy, this copy is
 * removed by an invalidation of this process, and when the connection is back.
 */
export async function keepInOutage(
  { local, random }: ReadContext,
  { entry, key, options }: ReadRequest,
  load: () => Promise<unknown>,
): Promise<Copies> {
  const { onBackendDown, revive, tags } = options;
  const kept = typeof onBackendDown === 'number' ? local : undefined;
  const asked = kept?.now();
  const watch = kept?.watch(entry);
  try {
    const value = await load();
    const text = encodeOf(key, value, options);
    const copies = new DecodedCopies(text, revive);
    const unless = options.unless as ((value: unknown) => unknown) | undefined;
    const keeps = unless === undefined || !isTrue('unless()', unless(value));
    if (kept && watch && asked && keeps) {
      const leftMs = Math.min(ttlOf(value, options, random), onBackendDown as number);
      kept.keep(watch, asked, { value: { text, tags: [...tags, ...resultTagsOf(options, value)] }, leftMs });
    }
    return copies;
  } finally {
    if (watch) kept?.unwatch(watch);
  }
}
