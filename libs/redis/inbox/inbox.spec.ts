import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import type { RedisConnection } from '../connection/connection.js';
import { RedisConnections } from '../connection/connections.js';
import { frame } from './frame.js';
import type { Inbox } from './inbox.js';

let redis: RedisServer;
let admin: Redis;
const opened: RedisConnections[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(() => Promise.all(opened.splice(0).map((each) => each.onApplicationShutdown())));
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

interface Opened {
  inbox: Inbox;
  connection: RedisConnection;
  got: string[][];
  resyncs: () => number;
}

/** An inbox that is subscribed, and what it was told. */
async function openInbox(db = 0): Promise<Opened> {
  const connections = new RedisConnections({ redis: { url: redis.url, db } });
  opened.push(connections);
  const connection = connections.get();
  const { inbox } = connection;
  const got: string[][] = [];
  let resyncs = 0;
  inbox.on('note', (parts) => got.push(parts));
  inbox.onResync(() => resyncs++);
  await connections.open();
  await until(() => resyncs > 0, { what: 'the inbox is subscribed' });
  return { inbox, connection, got, resyncs: () => resyncs };
}

describe('Inbox', () => {
  it('delivers the parts of a message to the handler of its kind', async () => {
    const { inbox, got } = await openInbox();
    await admin.publish(inbox.channel, frame('other', 'x'));
    await admin.publish(inbox.channel, 'no frame');
    await admin.publish(inbox.channel, frame('note', 'a', ''));
    await until(() => got.length > 0, { what: 'the note arrived' });
    expect(got).toEqual([['a', '']]);
  });

  it('listens to a further channel for a while, also after the socket was lost, and tells no other feature', async () => {
    const { inbox, got, resyncs } = await openInbox();
    const [channel, before] = [`${inbox.prefix}~more`, resyncs()];
    await inbox.listen(channel);
    expect([inbox.subscribed, resyncs()]).toEqual([true, before]);
    await admin.publish(channel, frame('note', '1'));
    await until(() => got.length === 1, { what: 'the first note arrived' });
    await admin.call('CLIENT', 'KILL', 'TYPE', 'PUBSUB');
    await until(() => resyncs() > before, { what: 'it is subscribed again' });
    await admin.publish(channel, frame('note', '2'));
    await until(() => got.length === 2, { what: 'the second note arrived' });
    await inbox.leave(channel);
    expect(await admin.publish(channel, frame('note', '3'))).toBe(0);
    expect(await admin.publish(inbox.channel, frame('note', '4'))).toBe(1);
    await until(() => got.length === 3, { what: 'the last note arrived' });
    expect(got.at(-1)).toEqual(['4']);
  });

  itOnPlainRedis('is one channel per process and database', async () => {
    const [a, b] = [await openInbox(0), await openInbox(1)];
    expect(a.inbox.channel).not.toBe(b.inbox.channel);
    expect(b.inbox.channel).toMatch(/:~inbox:1:/);
    expect(await admin.publish(a.inbox.channel, frame('note', 'to a'))).toBe(1);
    await until(() => a.got.length > 0, { what: 'a got its note' });
    expect(b.got).toEqual([]);
  });

  it('subscribes again after its socket dies, and tells to ask again', async () => {
    const { inbox, got, resyncs } = await openInbox();
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => resyncs() === 2, { what: 'the inbox is subscribed again' });
    expect(await admin.publish(inbox.channel, frame('note', 'after'))).toBe(1);
    await until(() => got.length > 0, { what: 'the note arrived' });
  });

  it('finds a socket on which nothing is answered', async () => {
    const { resyncs, connection } = await openInbox();
    const { lost } = connection.stats;
    redis.pause();
    await until(() => connection.stats.lost > lost, { what: 'the socket was given up' });
    redis.resume();
    await until(() => resyncs() >= 3, { what: 'features ask again, and once more on the new subscription' });
  });

  it('tells when the newest message to itself that it heard had been sent', async () => {
    const { inbox, resyncs } = await openInbox();
    inbox.proveFor({ everyMs: 20, isNeeded: () => true })();
    const since = performance.now();
    await until(() => inbox.proven.monoMs > since, { what: 'a message was heard' });
    expect(Math.abs(inbox.proven.wallMs - Date.now())).toBeLessThan(5_000);
    redis.pause();
    const pausedAt = performance.now();
    await until(() => performance.now() - pausedAt > 100, { what: 'nothing is answered for a while' });
    // What was sent before the pause may be heard; what is sent into it proves nothing, before and after.
    expect(inbox.proven.monoMs).toBeLessThanOrEqual(pausedAt);
    redis.resume();
    await until(() => inbox.proven.monoMs > pausedAt, { what: 'a message was heard' });
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    const seen: number[] = [];
    await until(() => seen.push(inbox.proven.monoMs) && resyncs() === 2, { what: 'a new socket', everyMs: 1 });
    expect(seen).toContain(-Infinity);
  });

  it('tells a counter with the proof, in order with all messages', async () => {
    const { inbox, got } = await openInbox();
    const key = 'announcements';
    await admin.set(key, 1);
    const counts: string[] = [];
    let isNeeded = false;
    const prove = inbox.proveFor({
      everyMs: 10,
      isNeeded: () => isNeeded,
      counter: { key, heard: (value) => counts.push(`${value} after ${got.length}`) },
    });
    const before = inbox.proven.monoMs;
    await until(() => inbox.proven.monoMs > before, { what: 'a proof without a need' });
    expect(counts).toEqual([]);
    isNeeded = true;
    prove();
    await until(() => counts.includes('1 after 0'), { what: 'the counter is told' });
    await admin.multi().incr(key).publish(inbox.channel, frame('note', 'x')).exec();
    await until(() => counts.some((count) => count.startsWith('2')), { what: 'it is told again' });
    expect(new Set(counts)).toEqual(new Set(['1 after 0', '2 after 1']));
  });

  it('hears channels that all may hear, whenever it joins them', async () => {
    const [a, b] = [await openInbox(), await openInbox()];
    a.inbox.join('everybody');
    b.inbox.join('everybody');
    await until(() => a.resyncs() === 2 && b.resyncs() === 2, { what: 'both are told to ask again' });
    expect(await admin.publish('everybody', frame('note', 'x'))).toBe(2);
    await until(() => a.got.length + b.got.length === 2, { what: 'both got the note' });
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => a.resyncs() === 3 && b.resyncs() === 3, { what: 'both are subscribed again' });
    expect(await admin.publish('everybody', frame('note', 'y'))).toBe(2);
  });

  it('survives a handler that throws', async () => {
    const { inbox, got } = await openInbox();
    inbox.on('bad', () => {
      throw new Error('thrown by a test on purpose');
    });
    await admin.publish(inbox.channel, frame('bad'));
    await admin.publish(inbox.channel, frame('note', 'next'));
    await until(() => got.length > 0, { what: 'the next note arrived' });
  });

  it('gives a kind to one feature only', async () => {
    const { inbox } = await openInbox();
    expect(() => {
      inbox.on('note', () => {});
    }).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
  });
});
