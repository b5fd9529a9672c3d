import { randomBytes } from 'node:crypto';
import type { Keyspace } from '../../redis/index.js';
import { SluiceError, show } from '../../weave/index.js';
import { currentLock } from '../held/current-lock.js';
import type { LockPort } from '../held/lock.js';
import type { ResolvedAcquire } from '../lock.options.js';
import { LockKeyCache } from '../store/lock-key-cache.js';
import type { LockRequest } from '../store/lock-request.js';
import { noncePrefix } from '../store/owner.js';

/** Makes the request of each acquisition: its keys, and a nonce that no other acquisition has. */
export class LockRequests {
  readonly #known: LockKeyCache;
  readonly #noncePrefix: string;
  readonly #port: LockPort;
  #acquisitions = 0;

  constructor(keyspace: Keyspace, processId: string, port: LockPort) {
    this.#known = new LockKeyCache(keyspace);
    // The random part tells two services of one process apart.
    this.#noncePrefix = noncePrefix(processId, randomBytes(4).toString('hex'));
    this.#port = port;
  }

  /** @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_LOCK_HELD_BY_CALLER` */
  make(name: string, { ttlMs, renew, owner, minHoldMs, maxHoldMs, onOverdue }: ResolvedAcquire): LockRequest {
    const keys = this.#known.get(name);
    refuseNested(name, keys.lock, this.#port);
    const nonce = this.#noncePrefix + String(++this.#acquisitions);
    const abortsOverdue = onOverdue === 'abort';
    return { name, keys, nonce, owner: owner ?? nonce, ttlMs, renew, minHoldMs, maxHoldMs, abortsOverdue };
  }
}

/** Locks are not reentrant: a call that waits for a lock of its own caller waits for itself. */
function refuseNested(name: string, key: string, port: LockPort): void {
  for (let outer = currentLock(); outer !== undefined; outer = outer.outer) {
    if (!outer.isHeldBy(port, key)) continue;
    throw new SluiceError(
      'SLUICE_LOCK_HELD_BY_CALLER',
      `lock ${show(name)} is held by this very call: locks are not reentrant. Call the inner work without the lock, ` +
        'or give it a lock of another name',
    );
  }
}
