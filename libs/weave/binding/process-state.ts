/** What `bindSluice` and the explorers of several apps, and of several copies of this package, must agree on. */
interface ProcessState {
  /** The running apps: from their first init hook to the end of their shutdown. */
  readonly apps: Set<AppBinder>;
  /** Bindings of objects that take no new property. */
  readonly frozen: WeakMap<object, Map<symbol, Holder>>;
  /** Services of apps that were closed: what they are bound to is free for another app. */
  readonly retired: WeakSet<object>;
}

/** Where one object keeps one service. Mutable, so that an object frozen after it was bound can be bound anew. */
export interface Holder {
  service: unknown;
}

/** One running app, as `bindSluice` sees it. */
export interface AppBinder {
  /** Binds every service that the object's decorated methods need. */
  bind(instance: object): void;
}

const KEY = Symbol.for('sluice:weave');
const shared = globalThis as unknown as Record<symbol, ProcessState | undefined>;

/** One per process, however many copies (ESM, CommonJS) of the package were loaded. */
export const processState: ProcessState = (shared[KEY] ??= {
  apps: new Set(),
  frozen: new WeakMap(),
  retired: new WeakSet(),
});
