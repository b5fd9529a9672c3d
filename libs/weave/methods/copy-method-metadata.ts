import 'reflect-metadata';

type Method = (...args: never[]) => unknown;

/**
 * Copies everything that other decorators wrote on `from` onto `to`.
 *
 * `SetMetadata` and its kin (`@Get`, `@Cron`, `@UseGuards`…) write on the function object itself, so whoever
 * replaces `descriptor.value` loses what the decorators below it said: routes vanish, jobs never start.
 */
export function copyMethodMetadata(from: Method, to: Method): void {
  for (const key of Reflect.getOwnMetadataKeys(from) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
  }
}
