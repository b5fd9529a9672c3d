import { PROCESS_ID_PATTERN, parseProcessId, type ProcessId } from '../../redis/index.js';

/**
 * The prefix of the nonces of one lock service. A number follows, which differs for each acquisition. So a nonce is unique and
 * never used again. Unless the user gives another owner, the nonce is also the value of the lock's key. So `GET` in redis-cli
 * shows which machine and process hold the lock, and no other key has to be written.
 *
 * @param service eight characters that distinguish two lock services of one process
 */
export function noncePrefix(processId: string, service: string): string {
  return `${processId}.${service}-`;
}

const SERVICE_AND_NUMBER = /^[0-9a-z]{8}-[0-9a-z]+$/;

/** A nonce as a Lua pattern. It captures the id of the process. */
export const NONCE_PATTERN = `^(${PROCESS_ID_PATTERN})%.%w+%-%w+$`;

/** The process that made the acquisition of this nonce; undefined if the text is no nonce of Sluice. */
export function processOf(nonce: string): ProcessId | undefined {
  const dot = nonce.lastIndexOf('.');
  return SERVICE_AND_NUMBER.test(nonce.slice(dot + 1)) ? parseProcessId(nonce.slice(0, Math.max(0, dot))) : undefined;
}
