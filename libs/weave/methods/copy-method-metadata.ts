import 'reflect-metadata';

type Method = (...args: never[]) => unknown;

/**
 * Copies the metadata that other decorators wrote on `from` to `to`.
 *
 * `SetMetadata` and similar decorators (`@Get`, `@Cron`, `@UseGuards`…) write on the function object itself. A decorator
 * that replaces `descriptor.value` loses the metadata of the decorators below it: routes vanish, jobs never start.
 */
export function copyMethodMetadata(from: Method, to: Method): void {
  for (const key of Reflect.getOwnMetadataKeys(from) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
  }
}
