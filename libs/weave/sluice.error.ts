/** Marks every error of this package, in whichever copy (ESM or CommonJS) it was made. */
const BRAND = Symbol.for('sluice:error');

/** Stable, machine-readable names of what went wrong. Never renamed. */
export type SluiceErrorCode = `SLUICE_${string}`;

/**
 * The base of every error that this package throws on its own account.
 *
 * A user's own error is never wrapped in one: what a decorated method or a loader throws comes back `===`.
 * Recognise one by {@link isSluiceError}, not by `instanceof`: an app may hold two copies of the package
 * (ESM and CommonJS), and then the classes differ while brand and code stay the same.
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

/** True for an error of this package, from any copy of it; with `code`, only for that kind. */
export function isSluiceError(error: unknown, code?: SluiceErrorCode): error is SluiceError {
  try {
    if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
    return code === undefined || (error as unknown as SluiceError).code === code;
  } catch {
    // A proxy whose traps throw: whatever it is, it is none of ours.
    return false;
  }
}
