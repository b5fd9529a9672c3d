/** The process that an acquisition was made by. */
export interface OwnerProcess {
  /** `host:pid:start`, as everywhere in this library: one start of one process. */
  readonly process: string;
  readonly host: string;
  readonly pid: number;
}

/** `<host>:<pid>:<start>.<service>-<n>`: who in which process, and the how manieth acquisition. */
const OWN = /^((.*):(\d+):[0-9a-z]+-[0-9a-f]{12})\.[0-9a-z]{8}-[0-9a-z]+$/s;

/**
 * What the nonces of one lock service begin with; a number of its own follows for each acquisition. So a nonce is unique, and
 * never used again. Unless the user gives another owner, it is also the value of the lock's key, so that a redis-cli's
 * `GET` tells the machine and the process that hold the lock, and nothing has to be written beside it.
 *
 * @param service eight characters that tell two lock services of one process apart
 */
export function noncePrefix(processId: string, service: string): string {
  return `${processId}.${service}-`;
}

/** Who made the acquisition of this nonce; undefined if it is no nonce of Sluice's. */
export function processOf(nonce: string): OwnerProcess | undefined {
  const [, process, host, pid] = OWN.exec(nonce) ?? [];
  if (process === undefined || host === undefined || pid === undefined) return undefined;
  return { process, host, pid: Number(pid) };
}
