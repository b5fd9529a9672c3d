import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { runs } from '../../../test/support/one-server.js';
import { until } from '../../../test/support/until.js';
import type { SendOptions } from '../../redis/connection/link.js';
import { RedisUnavailableError, frame, type CommandArg } from '../../redis/index.js';
import type { LockMember } from '../../../test/support/lock-member.js';
import { acquireScript } from '../store/scripts/acquire.script.js';
import { heartbeatScript } from '../store/scripts/heartbeat.script.js';
import { releaseScript } from '../store/scripts/release.script.js';

const bed = new LockBed();

type Send = (
  args: readonly CommandArg[],
  send: (options?: SendOptions) => Promise<unknown>,
  options: SendOptions,
) => Promise<unknown>;

/** What a process sends passes through `how`, until the answer is called. */
function intercept({ connections }: LockMember, how: Send): () => void {
  const { commands } = connections.get();
  const send = commands.send.bind(commands) as (...args: unknown[]) => Promise<unknown>;
  commands.send = ((command: string, args: readonly CommandArg[], options?: SendOptions) =>
    how(args, (instead) => send(command, args, instead ?? options), options ?? {})) as typeof commands.send;
  return () => {
    commands.send = send as typeof commands.send;
  };
}

const unanswered = (): Promise<never> => Promise.reject(new RedisUnavailableError('no answer', 'unknown'));

describe('what goes back in the background', () => {
  it('is not what was granted since: a lock that is held stays held', async () => {
    const [holder, member] = [await bed.listening(), await bed.listening()];
    const lock = await holder.locks.acquire('x');
    // The answer to the request comes long after the push, and until the lock is held no release gets through.
    const answer = gate();
    let held = false;
    let refused = 0;
    const restore = intercept(member, async (args, send) => {
      if (runs(releaseScript, args[0]) && !held) {
        refused++;
        return unanswered();
      }
      const reply = await send();
      if (runs(acquireScript, args[0])) await answer.opened;
      return reply;
    });
    const call = member.locks.acquire('x').then((granted) => {
      held = true;
      return granted;
    });
    await bed.waiting(1);
    await lock.release();
    await until(() => refused > 0, { what: 'the push that nobody seems to wait for is to go back', everyMs: 2 });
    answer.open();
    const granted = await call;
    expect(granted.held).toBe(true);
    restore();
    // What is still to go back goes with the next connection, before anything that is sent after.
    const { commands } = member.connections.get();
    const up = new Promise<void>((resolve) => {
      commands.onUp(resolve);
    });
    commands.reset();
    await up;
    await member.locks.inspect('another');
    expect(await bed.admin.get('lock:x')).toBe(granted.owner);
    expect(await granted.release()).toBe(true);
  });

  it('is not a lock that is held, whose push comes a second time', async () => {
    const { locks, connections } = await bed.listening();
    const lock = await locks.acquire('x');
    const { channel } = connections.get().inbox;
    const token = String(lock.fencingToken);
    await bed.admin.publish(channel, frame('lock:granted', 'lock:x', lock.owner, lock.owner, token, '22000'));
    // A grant that no call waits for goes back, after all that came before it.
    await bed.admin.set('lock:y', 'nobody', 'PX', 60_000);
    await bed.admin.publish(channel, frame('lock:granted', 'lock:y', 'nobody', 'nobody', token, '22000'));
    await until(async () => (await bed.admin.exists('lock:y')) === 0, { what: 'the second push went back' });
    expect(await bed.admin.get('lock:x')).toBe(lock.owner);
    expect(await lock.release()).toBe(true);
  });

  it('does not cut short what is kept from others for a while', async () => {
    const { locks, connections } = await bed.listening();
    const lock = await locks.acquire('x', { minHoldMs: 60_000 });
    await lock.release();
    // A push of this very grant that comes only now: its heartbeat was faster.
    const { channel } = connections.get().inbox;
    const push = frame('lock:granted', 'lock:x', lock.owner, lock.owner, String(lock.fencingToken), '2000');
    const scriptsRun = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await bed.admin.info('commandstats'))?.[1]);
    const before = await scriptsRun();
    expect(await bed.admin.publish(channel, push)).toBe(1);
    await until(async () => (await scriptsRun()) > before, { what: 'the push went back' });
    expect(await bed.admin.get('lock:x')).toBe(lock.owner);
  });
});

describe('a server that does not know a script', () => {
  /** The next call of the script is answered NOSCRIPT, and its text is sent only when the gate opens. */
  function resentLate(member: LockMember, script: { sha: string; lua: string }) {
    const [refused, resend] = [gate(), gate()];
    let releases = 0;
    intercept(member, async (args, send, { unknownScript, ...options }) => {
      if (!runs(script, args[0]) || unknownScript === undefined) {
        const reply = await send();
        if (runs(releaseScript, args[0])) releases++;
        return reply;
      }
      await bed.admin.script('FLUSH');
      return send({
        ...options,
        unknownScript: async (sent) => {
          refused.open();
          await resend.opened;
          return unknownScript(sent);
        },
      });
    });
    return { refused: refused.opened, resend, releases: () => releases };
  }

  it('gets a heartbeat without the waiters that were served meanwhile', async () => {
    const [holder, member] = [await bed.listening(), await bed.listening()];
    const lock = await holder.locks.acquire('x');
    const { refused, resend } = resentLate(member, heartbeatScript);
    const waits = member.locks.acquire('x');
    await refused;
    await lock.release();
    const served = await waits;
    await served.release();
    resend.open();
    // It ends once the heartbeat is answered.
    await member.app.close();
    // The lock was granted to nobody since.
    expect(await bed.admin.get('{lock:x}:~fence')).toBe(String(served.fencingToken));
    expect(await bed.admin.exists('lock:x', '{lock:x}:~queue', '{lock:x}:~waiters')).toBe(0);
  });

  it('keeps no place for a waiter that has left meanwhile', async () => {
    const [holder, member] = [await bed.listening(), await bed.listening()];
    await holder.locks.acquire('x');
    const { refused, resend, releases } = resentLate(member, acquireScript);
    const leaves = new AbortController();
    const waits = member.locks.acquire('x', { signal: leaves.signal });
    await refused;
    leaves.abort(new Error('gone'));
    await expect(waits).rejects.toThrow('gone');
    await until(() => releases() === 1, { what: 'the first release' });
    resend.open();
    await until(() => releases() === 2, { what: 'the release of what was queued after it' });
    expect(await bed.admin.exists('{lock:x}:~queue', '{lock:x}:~waiters')).toBe(0);
  });
});

describe('a body', () => {
  it('does not begin under a lock that is known to be lost by then', async () => {
    const { locks } = await bed.listening();
    const lock = await locks.acquire('x');
    await locks.forceRelease('x');
    await until(() => !lock.held, { what: 'it is lost', everyMs: 2 });
    let ran = 0;
    const body = (): void => {
      ran++;
    };
    const late = locks.run(lock, body, () => 'the test');
    await expect(late).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'forced' });
    expect(ran).toBe(0);
  });
});

describe('an app that closes', () => {
  it('leaves no lock behind whose grant is still on its way', async () => {
    const member = await bed.member();
    await bed.admin.call('CLIENT', 'PAUSE', '300', 'ALL');
    const tried = member.locks.tryAcquire('x').then(
      (lock) => lock?.held,
      (error: unknown) => (error as { code: string }).code,
    );
    const ticked = member.locks.acquireTick('y', { method: 'A.b', instantMs: 1_000, keepMs: 60_000 }, {}).then(
      (lock) => lock?.held,
      (error: unknown) => (error as { code: string }).code,
    );
    await member.app.close();
    expect([await tried, await ticked]).toEqual(['SLUICE_CLOSED', 'SLUICE_CLOSED']);
    expect([await bed.admin.exists('lock:x'), await bed.admin.exists('lock:y')]).toEqual([0, 0]);
  });
});
