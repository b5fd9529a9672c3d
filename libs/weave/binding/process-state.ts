/** The state that all apps of a process, and all copies of this package (ESM, CommonJS), share. */
interface ProcessState {
  /** The running apps: from their first init hook to the end of their shutdown. */
  readonly apps: Set<AppBinder>;
  /** The bindings of frozen objects, which accept no new property. */
  readonly frozen: WeakMap<object, Map<symbol, Holder>>;
  /** Services of closed apps: an object that is bound to one of them may be bound by another app. */
  readonly retired: WeakSet<object>;
}

/** Keeps one service of one object. Mutable, so that an object that was frozen after its binding can be bound again. */
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
