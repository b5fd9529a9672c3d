import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';
import type { RedisConnection } from '../connection/connection.js';
import { RedisConnections } from '../connection/connections.js';
import type { Link } from '../connection/link.js';
import { RedisUnavailableError } from '../redis.errors.js';
import { InboxProof } from './inbox-proof.js';

/** A link whose answers are the test's. */
class FakeLink {
  up = true;
  readonly sent: { resolve: (receivers: number) => void; reject: (error: Error) => void }[] = [];

  send(): Promise<number> {
    return new Promise((resolve, reject) => this.sent.push({ resolve, reject }));
  }
}

describe('a proof', () => {
  let clock: ManualClock;
  let link: FakeLink;
  let proof: InboxProof;
  beforeEach(() => {
    clock = new ManualClock();
    link = new FakeLink();
    proof = new InboxProof({ commands: link as unknown as Link, channel: 'c', clock });
  });

  it('is heard, before or after the server has answered, under its own number', async () => {
    const first = proof.ask(undefined);
    expect([proof.hear('0'), proof.hear('2'), proof.hear(undefined), proof.hear('1')]).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(await first).toBe('heard');
    const second = proof.ask(undefined);
    link.sent[1]!.resolve(1);
    await clock.pass(10);
    expect([proof.hear('1'), proof.hear('2'), proof.hear('2')]).toEqual([false, true, false]);
    expect([await second, clock.timers]).toEqual(['heard', 0]);
  });

  it('has a second to arrive once it is published, and twice as long after each one that did not', async () => {
    for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const asked = proof.ask(undefined);
      // However long the server takes.
      await clock.pass(60_000);
      link.sent.at(-1)!.resolve(0);
      let outcome = '';
      void asked.then((it) => (outcome = it));
      await clock.pass(ms - 1);
      expect(outcome).toBe('');
      await clock.pass(1);
      await until(() => outcome !== '', { what: 'it is over' });
      expect(outcome).toBe('unheard');
    }
    const heard = proof.ask(undefined);
    proof.hear('8');
    expect([await heard, proof.failures]).toEqual(['heard', 0]);
  });

  it('is not late in a process whose event loop was blocked', async () => {
    const asked = proof.ask(undefined);
    link.sent[0]!.resolve(1);
    await clock.pass(0);
    clock.jump(60_000);
    await clock.pass(0);
    // The message was there all the time, and is read now.
    proof.hear('1');
    expect(await asked).toBe('heard');
  });

  it.each([
    ['no answer', new RedisUnavailableError('no reply', 'unknown'), true, 'unanswered'],
    ['no connection', new RedisUnavailableError('no socket', 'not-sent'), false, 'unsent'],
    ['a refusal', new RedisUnavailableError('BUSY', 'not-sent', { refusal: 'BUSY' }), true, 'unsent'],
  ])('with %s says so', async (_what, error, up, outcome) => {
    link.up = up;
    const asked = proof.ask(undefined);
    link.sent[0]!.reject(error);
    expect([await asked, proof.failures]).toEqual([outcome, 0]);
  });

  it('that is abandoned proves nothing, whatever comes', async () => {
    const asked = proof.ask(undefined);
    proof.abandon();
    expect([proof.hear('1'), await asked]).toEqual([false, 'unsent']);
    link.sent[0]!.resolve(1);
    await clock.pass(60_000);
    expect([proof.failures, clock.timers]).toEqual([0, 0]);
  });
});

describe('a subscriber that leads to another server than the commands', () => {
  let first: RedisServer;
  let second: RedisServer;
  let admins: Redis[];
  /** An address that leads to one of them, as a name or a virtual IP does. */
  let address: FaultProxy;
  let app: RedisConnections;
  let connection: RedisConnection;
  let resyncs: number;
  beforeEach(async () => {
    [first, second] = await Promise.all([startRedis(), startRedis()]);
    admins = [first, second].map(({ url }) => new Redis(url));
    address = await FaultProxy.to(first.port);
    app = await new RedisConnections({ redis: { url: address.url } }).open();
    connection = app.get();
    resyncs = 0;
    connection.inbox.onResync(() => resyncs++);
    await until(() => connection.inbox.proven.monoMs > -Infinity, { what: 'it is proven' });
    resyncs = 0;
  });
  afterEach(async () => {
    await app.onApplicationShutdown();
    for (const admin of admins) admin.disconnect();
    await address.close();
    await Promise.all([first.stop(), second.stop()]);
  });

  const names = async (admin: Redis): Promise<string> =>
    [...String(await admin.client('LIST')).matchAll(/ name=sluice:(\S*)/g)]
      .map(([, name]) => name!)
      .sort()
      .join();

  it('is found, and connects where the commands are by now', async () => {
    address.leadTo(second.port);
    await admins[0]!.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(async () => (await names(admins[1]!)) === 'subscriber', { what: 'it leads elsewhere' });
    const at = performance.now();
    address.leadTo(first.port);
    await until(async () => (await names(admins[0]!)) === 'commands,subscriber', { what: 'it is back' });
    await until(() => connection.inbox.proven.monoMs > at, { what: 'it is proven' });
    // On the wrong server, when nothing was heard, and on the right one.
    expect(resyncs).toBe(3);
  });

  it('is never proven, and when a new one is not either, all sockets connect anew', async () => {
    address.leadTo(second.port);
    await admins[0]!.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(async () => (await names(admins[1]!)) === 'subscriber', { what: 'it leads elsewhere' });
    const proven = new Set<number>();
    await until(
      async () => {
        proven.add(connection.inbox.proven.monoMs);
        return (await names(admins[1]!)) === 'commands,subscriber';
      },
      { what: 'the commands are there as well' },
    );
    await until(() => connection.inbox.proven.monoMs > -Infinity, { what: 'it is proven' });
    expect(Math.max(...[...proven].slice(0, -1))).toBe(-Infinity);
    expect(await names(admins[0]!)).toBe('');
  });
});
