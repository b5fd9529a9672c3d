/**
 * A rolling deploy: processes of the release before and of this one in one fleet. Arguments: the folder of each app. What
 * both must share: locks, cached values, queues and inboxes.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { Redis } from 'ioredis';

const [before, present] = process.argv.slice(2);
const admin = new Redis(process.env.SLUICE_REDIS_URL);
const living = new Set();
/** Ample: a machine may be ten times slower. */
const DEADLINE_MS = 60_000;

async function member(dir) {
  const child = fork(join(dir, 'member.mjs'), { cwd: dir, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  living.add(child);
  const answers = new Map();
  let calls = 0;
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  void ended.then(() => {
    living.delete(child);
    for (const { reject } of answers.values()) reject(new Error('the process has ended'));
  });
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    void ended.then((how) => reject(new Error(`a process of ${dir} ended at boot: ${how}`)));
  });
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = answers.get(id);
    answers.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  });
  const call = (name, ...args) =>
    new Promise((resolve, reject) => {
      const id = calls++;
      answers.set(id, { resolve, reject });
      child.send({ id, call: name, args });
    });
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  const close = async () => {
    await call('close');
    assert.equal(await ended, 0);
  };
  return { call, kill, close };
}

async function until(what, holds) {
  const untilMs = performance.now() + DEADLINE_MS;
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await rest(20);
  }
}

async function check(what, run) {
  await run();
  console.log(`ok ${what}`);
}

const each = (members, ...call) => Promise.all(members.map((one) => one.call(...call)));
const numbers = (count, from = 0) => Array.from({ length: count }, (_, i) => from + i);

async function handOver(from, to, name) {
  const first = await from.call('acquire', name, {});
  await to.call('wait', name);
  await until('the other one waits', async () => (await admin.zcard(`{fleet:lock:${name}}:~queue`)) === 1);
  await admin.config('RESETSTAT');
  await from.call('release', name);
  const second = await to.call('granted', name);
  assert.ok(second > first, 'tokens rise');
  // Granted by the release, and told by a push.
  assert.match(await admin.info('commandstats'), /cmdstat_publish:calls=[1-9]/);
  assert.equal(await to.call('held', name), true);
  await assert.rejects(from.call('acquire', name, { waitMs: 0 }), /SLUICE|was not free/);
  await to.call('release', name);
}

try {
  const [old, now] = await Promise.all([member(before), member(present)]);

  await check('a lock is handed over from the release before to this one', () => handOver(old, now, 'down'));
  await check('a lock is handed over from this release to the one before', () => handOver(now, old, 'up'));
  await check('waiters of both releases are served in the order of their arrival', async () => {
    await now.call('acquire', 'line', {});
    const others = await Promise.all([before, present, before].map(member));
    const tokens = [];
    for (const [i, one] of others.entries()) {
      await one.call('wait', 'line');
      await until('it waits', async () => (await admin.zcard('{fleet:lock:line}:~queue')) === i + 1);
    }
    let holder = now;
    for (const one of others) {
      await holder.call('release', 'line');
      tokens.push(await one.call('granted', 'line'));
      holder = one;
    }
    await holder.call('release', 'line');
    assert.deepEqual(
      tokens,
      tokens.toSorted((a, b) => a - b),
    );
    await Promise.all(others.map((one) => one.close()));
  });
  await check('a lock that a killed process of the release before held is free after its lease', async () => {
    const victim = await member(before);
    await victim.call('acquire', 'killed', { ttlMs: 1_000 });
    await now.call('wait', 'killed');
    await victim.kill();
    await now.call('granted', 'killed');
    await now.call('release', 'killed');
  });

  await check('loads of one key are one load for both releases, and both read it', async () => {
    for (const [i, first] of [old, now].entries()) {
      const [base, key] = [await each([old, now], 'loads'), `key:${i}`];
      const second = first === old ? now : old;
      const value = { id: i, at: 'x'.repeat(200_000 * i) };
      const leading = first.call('load', key, 1_500, value);
      await until('the load has begun', async () => (await first.call('loads')) > base[i]);
      assert.deepEqual(await second.call('load', key, 0, 'another'), value);
      assert.deepEqual(await leading, value);
      const after = await each([old, now], 'loads');
      assert.equal(after[0] + after[1], base[0] + base[1] + 1);
    }
  });
  await check('tags that one release invalidates are gone in the other', async () => {
    for (const [first, second] of [
      [old, now],
      [now, old],
    ]) {
      await first.call('load', 'tagged', 0, 'one');
      assert.equal(await second.call('load', 'tagged', 0, 'two'), 'one');
      await first.call('invalidate');
      await until('the copy is gone', async () => (await second.call('get', 'tagged')) === undefined);
      assert.equal(await second.call('load', 'tagged', 0, 'two'), 'two');
      await second.call('invalidate');
    }
  });

  const done = async () => (await each([old, now], 'handled')).flat();
  await check('both releases work on one queue, with retries and delays', async () => {
    const tasks = numbers(400).map((n) => ({ n, fails: n % 10 === 0 }));
    await old.call('publish', tasks.slice(0, 200));
    await now.call('publish', tasks.slice(200));
    await old.call('delay', { n: 400 }, 300);
    await now.call('delay', { n: 401 }, 300);
    await until('all ran', async () => new Set(await done()).size === 402);
    await until('all is settled', async () => {
      const { waiting, running, delayed } = await now.call('counts');
      return waiting + running + delayed === 0;
    });
    // 40 of them ran twice, as they failed once.
    assert.equal((await done()).length, 442);
    assert.equal((await now.call('counts')).dead, 0);
    for (const [i, ran] of (await each([old, now], 'handled')).entries())
      assert.ok(ran.length > 0, `${i === 0 ? 'the release before' : 'this release'} worked as well`);
  });
  for (const [what, dir, survivor] of [
    ['the release before', before, now],
    ['this release', present, old],
  ]) {
    await check(`tasks of a killed process of ${what} are taken over by the other`, async () => {
      const from = dir === before ? 1_000 : 2_000;
      const victim = await member(dir);
      // All hold until all have begun, in whichever process.
      await now.call(
        'publish',
        numbers(10, from).map((n) => ({ n, holds: true })),
      );
      const has = () => victim.call('handled');
      await until('the victim has some', async () => (await has()).length > 0);
      const lost = await has();
      await victim.kill();
      await until('the others have all', async () => {
        await each([old, now], 'open');
        const ran = new Set(await done());
        return numbers(10, from).every((n) => ran.has(n));
      });
      assert.ok(lost.length > 0);
      await until('all is settled', async () => {
        await each([old, now], 'open');
        const { waiting, running } = await survivor.call('counts');
        return waiting + running === 0;
      });
    });
  }

  await check('messages of an unknown kind, and what is no message, change nothing', async () => {
    const frame = (...parts) => parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('');
    const channels = await admin.pubsub('CHANNELS', '*~inbox*');
    assert.equal(channels.length, 2);
    for (const channel of channels) {
      for (const message of [frame('future:thing', 'a', 'b'), frame('lock:granted'), 'noise', '', '5:abc'])
        await admin.publish(channel, message);
    }
    await handOver(old, now, 'after');
    await handOver(now, old, 'after');
  });

  await Promise.all([old.close(), now.close()]);
} finally {
  for (const child of living) child.kill('SIGKILL');
  admin.disconnect();
}
