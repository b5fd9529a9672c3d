import type { Link } from '../connection/link.js';
import { parseServerInfo } from '../connection/server-check.js';
import type { Clock } from '../time/clock.js';

export interface PrimaryWait {
  link: Link;
  clock: Clock;
  /** How long to wait for a primary, in milliseconds. 0: the server is looked at once. */
  timeoutMs: number;
  /** INFO of the server that the link leads to. */
  info: Promise<string>;
  /** Connects anew: the address may lead to another server by now. */
  reconnect: () => void;
}

/** How long until a replica is looked at again, in milliseconds. */
const AGAIN_MS = 250;

/**
 * Waits until the link leads to a primary: a failover may be under way, and DNS may lead to the old primary for a while. Answers
 * what is wrong if it leads to a replica at the end, with the fix; undefined if all is well, or if that cannot be found out.
 */
export async function awaitPrimary(wait: PrimaryWait): Promise<string | undefined> {
  const { link, clock, timeoutMs, reconnect } = wait;
  const deadlineMs = clock.monoMs() + timeoutMs;
  // A server that is gone again, or refuses INFO, is reported by its check.
  let primary = parseServerInfo(await wait.info.catch(() => '')).replicaOf;
  while (primary !== undefined) {
    const leftMs = deadlineMs - clock.monoMs();
    if (leftMs <= 0) return told(primary, timeoutMs);
    reconnect();
    await new Promise<void>((resolve) => clock.timer(Math.min(AGAIN_MS, leftMs), resolve));
    await link.waitUntilUp(Math.max(0, deadlineMs - clock.monoMs()));
    // A server that is gone meanwhile is looked at again.
    const before = primary;
    primary = await link.send<string>('info', ['replication'], { quiet: true }).then(
      (info) => parseServerInfo(info).replicaOf,
      () => before,
    );
  }
  return undefined;
}

function told(primary: string, timeoutMs: number): string {
  const still = timeoutMs > 0 ? `, also after ${timeoutMs} ms` : '';
  return (
    `the server is a replica of ${primary}${still}: it takes no writes. Give the address of the primary, or one that always leads ` +
    'to it: { sentinels, name }, or the primary endpoint of the service'
  );
}
