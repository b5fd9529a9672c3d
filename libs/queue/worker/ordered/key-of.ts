import type { OrderKeys } from '../admission/fleet-limits.js';
import type { Delivery } from '../../task/delivery.js';

/** The key of a task, as the scripts find it in its entry; '': it has none. */
export function keyOf({ keyPath }: OrderKeys, { orderingKey, task }: Delivery): string {
  if (keyPath === '') return orderingKey;
  let value: unknown = task?.payload;
  for (const name of keyPath.split('.')) {
    value =
      typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
        ? (value as Record<string, unknown>)[name]
        : undefined;
  }
  if (typeof value === 'string') return value;
  return Number.isSafeInteger(value) ? String(value) : '';
}
