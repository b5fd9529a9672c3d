/**
 * Calls `aborted` when the signal aborts. Returns a function that removes `aborted` again.
 *
 * A signal gets one listener, even if many calls share it. At the eleventh listener, Node would warn of a leak. And to remove
 * one of thousands of listeners, Node walks through all of them.
 */
export function onAbort(signal: AbortSignal, aborted: () => void): () => void {
  let listeners = listenersOf.get(signal);
  if (listeners === undefined) listenersOf.set(signal, (listeners = new AbortListeners(signal)));
  return listeners.add(aborted);
}

const listenersOf = new WeakMap<AbortSignal, AbortListeners>();

/** The listeners of this library on one signal. */
class AbortListeners {
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<() => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(listener: () => void): () => void {
    if (this.#listeners.size === 0) this.#signal.addEventListener('abort', this, { once: true });
    this.#listeners.add(listener);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) {
        this.#signal.removeEventListener('abort', this);
      }
    };
  }

  /** Called by the signal. */
  handleEvent(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
