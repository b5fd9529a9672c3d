/** The state that all apps of a process, and all copies of this package (ESM, CommonJS), share. */
interface ProcessState {
  /**
   * The running apps: from their first init hook to the end of their shutdown. An app whose boot failed elsewhere is never
   * closed. It leaves the set when another app has booted.
   */
  readonly apps: Set<AppBinder>;
  /** Services of apps that have booted. A binding to another service may be replaced: its app may never run. */
  readonly booted: WeakSet<object>;
  /** The bindings of frozen objects, which accept no new property. */
  readonly frozen: WeakMap<object, Map<symbol, Holder>>;
  /** Services of closed apps: an object that is bound to one of them may be bound by another app. */
  readonly retired: WeakSet<object>;
  /** For each token, the class that represents it in Nest's injection. */
  readonly injected: Map<string, InjectedClass>;
}

/** A class that is only a token: no object of it is created. */
export type InjectedClass = new () => object;

/** Keeps one service of one object. Mutable, so that an object that was frozen after its binding can be bound again. */
export interface Holder {
  service: unknown;
  /** The options of the object's decorated methods were checked, at boot or at the first call. */
  isChecked: boolean;
}

/** One running app, as `bindSluice` sees it. */
export interface AppBinder {
  /** True once all init hooks of the app have succeeded. */
  readonly hasBooted: boolean;
  /** Binds every service that the object's decorated methods need. */
  bind(instance: object): void;
  /**
   * Checks the methods of an object that the app did not know when it booted. False if the service is of another app, or
   * if the app has not looked at its providers yet.
   *
   * @throws SluiceError as the check at boot
   */
  checkLate(instance: object, token: string, service: object): boolean;
}

const KEY = Symbol.for('sluice:weave');
const shared = globalThis as unknown as Record<symbol, ProcessState | undefined>;

/** All copies of the package in a process (ESM, CommonJS) share this state. */
export const processState: ProcessState = (shared[KEY] ??= {
  apps: new Set(),
  booted: new WeakSet(),
  frozen: new WeakMap(),
  retired: new WeakSet(),
  injected: new Map(),
});
