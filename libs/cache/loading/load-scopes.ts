import { AsyncLocalStorage } from 'node:async_hooks';
import { SluiceError } from '../../weave/index.js';

/** A read that other reads may wait for, and the reads that its own loader waits for. */
export interface WaitNode {
  readonly key: string;
  /** Undefined: none, which is nearly always so. */
  waitsFor: Set<WaitNode> | undefined;
}

/** A running loader, as seen by the reads that the loader makes. */
export interface LoadScope {
  readonly node: WaitNode;
  readonly entry: string;
  /** The limited source at which this load holds a slot, if it holds one. */
  readonly source: string | undefined;
  /** The loader that made the read for which this loader runs. */
  readonly outer: LoadScope | undefined;
  ended: boolean;
}

/**
 * Tells which loader a read comes from. A loader that waits for itself would wait for ever.
 *
 * AsyncLocalStorage makes every promise of the process more expensive while it is switched on, so it is on only while a loader
 * runs.
 */
export class LoadScopes {
  readonly #storage = new AsyncLocalStorage<LoadScope>();
  #running = 0;

  /** The innermost running loader that makes this call. */
  get current(): LoadScope | undefined {
    if (this.#running === 0) return undefined;
    let scope = this.#storage.getStore();
    while (scope?.ended === true) scope = scope.outer;
    return scope;
  }

  /** Runs a loader within its scope. Call {@link end} when its callers have its outcome. */
  run<T>(scope: LoadScope, load: () => T): T {
    this.#running++;
    return this.#storage.run(scope, load);
  }

  end(scope: LoadScope): void {
    scope.ended = true;
    if (--this.#running === 0) this.#storage.disable();
  }
}

/** True if this loader, or one that waits for it, holds a slot at that source. */
export function holdsSlot(scope: LoadScope | undefined, source: string): boolean {
  for (let each = scope; each; each = each.outer) if (each.source === source) return true;
  return false;
}

/** True if this loader, or one that waits for it, loads that entry. */
export function loads(scope: LoadScope | undefined, entry: string): boolean {
  for (let each = scope; each; each = each.outer) if (each.entry === entry) return true;
  return false;
}

/**
 * Waits for a read on behalf of a loader.
 *
 * @throws SluiceError `SLUICE_CACHE_CIRCULAR_LOAD` if that read waits for this loader
 */
export async function waitWithin<T>({ node }: LoadScope, read: WaitNode & { outcome: Promise<T> }): Promise<T> {
  if (reaches(read, node, new Set())) {
    read.outcome.catch(() => {});
    throw circular(read.key);
  }
  const waits = (node.waitsFor ??= new Set());
  waits.add(read);
  try {
    return await read.outcome;
  } finally {
    waits.delete(read);
  }
}

/** The error of a read of a key by the loader of that key, directly or by way of another key. */
export function circular(key: string): SluiceError {
  return new SluiceError(
    'SLUICE_CACHE_CIRCULAR_LOAD',
    `the loader of '${key}' asks for '${key}' itself, directly or by another key, and would wait for itself`,
  );
}

function reaches(from: WaitNode, to: WaitNode, seen: Set<WaitNode>): boolean {
  if (from === to) return true;
  if (from.waitsFor === undefined || seen.has(from)) return false;
  seen.add(from);
  for (const next of from.waitsFor) if (reaches(next, to, seen)) return true;
  return false;
}
