/**
 * The prototype of an object's class. A Proxy may answer `Object.prototype` in place of it (PrismaClient does). Then the
 * `constructor` decides. Null for a Proxy that throws when it is inspected: Sluice does not handle such an object.
 */
export function classPrototypeOf(instance: object): object | null {
  try {
    const prototype = Reflect.getPrototypeOf(instance);
    if (prototype !== Object.prototype) return prototype;
    const { constructor } = instance as { constructor?: unknown };
    const own: unknown = typeof constructor === 'function' ? constructor.prototype : undefined;
    return typeof own === 'object' ? own : prototype;
  } catch {
    return null;
  }
}
