import { isUnavailable } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { LockUnavailableError } from '../lock.errors.js';

/** An outage is reported with the name of the lock. Any other error, for instance of a script that fails, stays as it is. */
export function withLockName(name: string, action: LockUnavailableError['action'], error: unknown): unknown {
  return isUnavailable(error) ? new LockUnavailableError(name, action, error) : error;
}

/** The error of every call that comes after the shutdown of the app began. */
export function closedError(name: string): SluiceError {
  return new SluiceError('SLUICE_CLOSED', `lock '${name}' cannot be acquired: the app is shutting down`);
}
