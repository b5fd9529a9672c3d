/** Marks every error of this package, whether the ESM or the CommonJS copy made it. */
const BRAND = Symbol.for('sluice:error');

/** Stable, machine-readable error codes. A code is never renamed. */
export type SluiceErrorCode = `SLUICE_${string}`;

/**
 * The base of every error that this package itself throws.
 *
 * A user's own error is never wrapped: an error that a decorated method or a loader throws reaches the caller unchanged (`===`).
 * To recognise a SluiceError, use {@link isSluiceError} and not `instanceof`: an app may load two copies of the package
 * (ESM and CommonJS). The two copies have different classes, but the same brand and the same codes.
 *
 * @example
 * catch (error) {
 *   if (isSluiceError(error, 'SLUICE_LOCK_TIMEOUT')) return reply.status(409);
 *   throw error;
 * }
 */
export class SluiceError extends Error {
  readonly code: SluiceErrorCode;

  constructor(code: SluiceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** True for an error of this package, from any copy of it. With `code`: true only for an error with that code. */
export function isSluiceError(error: unknown, code?: SluiceErrorCode): error is SluiceError {
  try {
    if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
    return code === undefined || (error as unknown as SluiceError).code === code;
  } catch {
    // A proxy with traps that throw. Sluice makes no such errors.
    return false;
  }
}
