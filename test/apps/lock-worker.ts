/** One process of a fleet that competes for locks and logs what it held. */
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Lock } from 'nestjs-sluice/lock';
import { serve } from '../support/app-host.js';
import { History, now } from '../support/history.js';
import { lockMember } from '../support/lock-member.js';

const { REDIS_URL = '', HISTORY_DIR = '', WORKER = String(process.pid) } = process.env;
const { app, locks } = await lockMember(REDIS_URL, { commandTimeoutMs: 2_000 });
const history = new History(HISTORY_DIR, WORKER);
let held: Lock | undefined;
let finishing = false;

interface Hammer {
  name: string;
  waiters: number;
  rounds: number;
  /** How long a lock is held, in milliseconds: from 0 up to this. */
  holdMs: number;
  ttlMs?: number;
}

interface Outcome {
  grants: number;
  lost: number;
  failed: Record<string, number>;
}

/** From a grant to the sending of the release, or to the end of the validity if that came first. */
async function once(name: string, holdMs: number, ttlMs: number, outcome: Outcome): Promise<void> {
  let lock: Lock;
  try {
    lock = await locks.acquire(name, { ttlMs, waitMs: 60_000 });
  } catch (error) {
    const code = (error as { code?: string }).code ?? String(error);
    outcome.failed[code] = (outcome.failed[code] ?? 0) + 1;
    return;
  }
  // A pause may come between any two lines here. Each clock is read before what it must not be later than.
  const at = now();
  const heldAtFirst = lock.held;
  if (heldAtFirst) {
    const mark = history.open(name, { token: lock.fencingToken, at });
    const work = Math.random() * holdMs;
    if (work >= 1) await pause(work);
    const seen = now();
    const validUntil = seen + BigInt(Math.round((lock.expiresAt - Date.now()) * 1e6));
    if (!lock.held) outcome.lost++;
    const released = now();
    history.close(mark, released < validUntil ? released : validUntil);
    outcome.grants++;
  }
  await lock.release().catch(() => {});
}

serve({
  ops: {
    async hammer({ name, waiters, rounds, holdMs, ttlMs = 30_000 }: Hammer): Promise<Outcome> {
      const outcome: Outcome = { grants: 0, lost: 0, failed: {} };
      const one = async (): Promise<void> => {
        for (let i = 0; i < rounds && !finishing; i++) await once(name, holdMs, ttlMs, outcome);
      };
      await Promise.all(Array.from({ length: waiters }, one));
      return outcome;
    },
    /** Ends what hammers before its rounds are done. */
    finish: () => {
      finishing = true;
    },
    /** Takes the lock and keeps it. Resolves to the moment of the grant, on the machine's clock. */
    async take(name: string, ttlMs: number): Promise<{ at: bigint; token: number }> {
      held = await locks.acquire(name, { ttlMs });
      const at = now();
      history.open(name, { token: held.fencingToken, at });
      return { at, token: held.fencingToken };
    },
    /** Nothing runs for so long: no timer, no answer. */
    block: (ms: number) => {
      for (const end = performance.now() + ms; performance.now() < end;);
    },
    force: (name: string) => locks.forceRelease(name),
    /** Takes and releases so many names, some at once. */
    async pass(from: number, count: number, atOnce: number): Promise<void> {
      let next = from;
      const one = async (): Promise<void> => {
        while (next < from + count) await (await locks.acquire(`name ${next++}`, { waitMs: 60_000 })).release();
      };
      await Promise.all(Array.from({ length: atOnce }, one));
    },
    footprint: () => {
      globalThis.gc?.();
      return { heapMb: process.memoryUsage().heapUsed / 2 ** 20, handles: readdirSync('/proc/self/fd').length };
    },
    drop: () => held?.release(),
    isHeld: () => held?.held,
    /** A body that knows nothing of time. */
    locked: (name: string, ttlMs: number, bodyMs: number) => locks.withLock(name, { ttlMs }, () => pause(bodyMs)),
  },
  stop: () => app.close(),
});
