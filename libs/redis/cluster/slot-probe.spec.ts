import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import { Link } from '../connection/link.js';
import { RedisRefusedError } from '../redis.errors.js';
import type { ConnectionOptions } from '../redis.options.js';
import { lua } from '../script/fragment.js';
import { defineScript } from '../script/script.js';
import { ownSlots } from './cluster-mode.js';
import { slotOf } from './slot.js';

let plain: RedisServer;
let shard: RedisServer;
/** One node of three: it has the first third of the slots. */
let node: RedisServer;
const opened: RedisConnections[] = [];
const asked = async (url: string, run: (admin: Redis) => Promise<unknown>): Promise<unknown> => {
  const admin = new Redis(url);
  try {
    return await run(admin);
  } finally {
    admin.disconnect();
  }
};
beforeAll(async () => {
  [plain, shard, node] = await Promise.all([
    startRedis({ slotChecks: false }),
    startRedis({ slotChecks: true }),
    startRedis({ slotChecks: false, args: ['--cluster-enabled', 'yes'] }),
  ]);
  await asked(node.url, (admin) => admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '5460'));
});
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(opened.splice(0).map((each) => each.onApplicationShutdown()));
});
afterAll(() => Promise.all([plain.stop(), shard.stop(), node.stop()]));

function made(redis: ConnectionOptions, namespace = 'shop'): RedisConnections {
  const connections = new RedisConnections({ redis, namespace });
  opened.push(connections);
  return connections;
}
const open = (redis: ConnectionOptions): Promise<RedisConnections> => made(redis).open();

const names = Array.from({ length: 9 }, (_, n) => `name${n}`);
const itself = (name: string): string => name;

describe('whether a server knows slots', () => {
  it('is known once the connection is open: one server does not, and gets one list', async () => {
    const { slots } = (await open({ url: plain.url })).get();
    expect(slots.knowsSlots).toBe(false);
    expect(slots.split(names, itself)).toEqual([names]);
    expect(slots.split([], itself)).toEqual([]);
  });

  it('is known once the connection is open: a server in cluster mode does, and gets a list per slot', async () => {
    const { slots } = (await open({ url: shard.url })).get();
    expect(slots.knowsSlots).toBe(true);
    const lists = slots.split([...names, '{name0}:~x'], itself);
    expect(lists).toHaveLength(names.length);
    expect(lists[0]).toEqual(['name0', '{name0}:~x']);
    for (const list of lists) expect(new Set(list.map(slotOf)).size).toBe(1);
  });

  it('is not known before: then a server counts as one that does', async () => {
    const { slots } = made({ url: plain.url }).get();
    expect(slots.knowsSlots).toBe(true);
    expect(slots.split(names, itself)).toHaveLength(names.length);
  });

  it('is learned again on each connect', async () => {
    const { slots, commands } = (await open({ url: plain.url })).get();
    const seen: boolean[] = [];
    commands.onUp(() => seen.push(slots.knowsSlots));
    commands.onDown(() => seen.push(slots.knowsSlots));
    commands.reset();
    await slots.whenLearned();
    await until(() => seen.length === 2 && !slots.knowsSlots, { what: 'it is learned again' });
    expect(seen).toEqual([true, true]);
  });

  // The first two keys that come to mind have one slot in the second namespace.
  it.each(['shop', 'nsd5d'])(
    'is told by a call with two slots, if a proxy says that it is one server: namespace %s',
    async (namespace) => {
      const send = Link.prototype.send;
      const probed: string[] = [];
      jest.spyOn(Link.prototype, 'send').mockImplementation(function (this: Link, command, args = [], options) {
        if (command !== 'eval' || args[1] !== 2) return send.call(this, command, args, options);
        probed.push(String(args[2]), String(args[3]));
        return Promise.reject(
          new RedisRefusedError('refused', "CROSSSLOT Keys in request don't hash to the same slot"),
        );
      });
      expect((await made({ url: plain.url }, namespace).open()).get().slots.knowsSlots).toBe(true);
      expect(probed).toHaveLength(2);
      expect(new Set(probed.map(slotOf)).size).toBe(2);
    },
  );

  it.each([
    ['keys of its own only', ['~shop:orders', '+@all'], false],
    ['no INFO', ['~*', '+@all', '-info'], false],
    ['no INFO and keys of its own only', ['~shop:orders', '+@all', '-info'], true],
  ])('is found out by a user who has %s', async (_what, rules, knows) => {
    await asked(plain.url, (admin) => admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', '&*', ...rules));
    const url = plain.url.replace('//', '//app:secret@');
    const connections = made({ url, enableReadyCheck: false });
    jest.spyOn(connections.logger, 'warn').mockImplementation(() => {});
    expect((await connections.open()).get().slots.knowsSlots).toBe(knows);
    await asked(plain.url, (admin) => admin.call('ACL', 'DELUSER', 'app'));
  });

  it('is known to scripts, also to one that has to be sent as text', async () => {
    const script = defineScript({
      name: 'which',
      keys: ['key'],
      args: {},
      lua: lua`redis.call('EXISTS', key) return oneServer and 1 or 0`,
      decode: Number,
    });
    const call = { keys: { key: 'k' }, args: {} };
    for (const [url, answer] of [
      [plain.url, 1],
      [shard.url, 0],
    ] as const) {
      const { commands } = (await open({ url })).get();
      expect([await script.run(commands, call), await script.run(commands, call)]).toEqual([answer, answer]);
      await asked(url, (admin) => admin.script('FLUSH'));
      expect(await script.run(commands, call, { again: () => call })).toBe(answer);
    }
  });
});

describe('a server in cluster mode behind one address', () => {
  it('is used if it has all slots', async () => {
    const { commands } = (await open({ url: shard.url, strict: true })).get();
    await Promise.all(names.map((name) => commands.send('set', [name, 'x'])));
  });

  it('is used through a client of the user', async () => {
    const client = new Redis(shard.url);
    await open({ client, strict: true });
    client.disconnect();
  });

  it.each([false, true])('is refused if it has some slots only, and names the fix; strict: %s', async (strict) => {
    await expect(open({ url: node.url, strict })).rejects.toMatchObject({
      code: 'SLUICE_CLUSTER_UNSUPPORTED',
      message:
        `Redis connection 'default' (${node.url}): the server is one node of a Redis Cluster and has 5461 of its ` +
        '16384 slots: commands on all other keys would fail. Redis Cluster with several shards is not supported yet. Use one ' +
        'Redis, a Sentinel group ({ sentinels, name }), or the primary of a Cluster with one shard',
    });
    const client = new Redis(node.url);
    await expect(open({ client, strict })).rejects.toMatchObject({ code: 'SLUICE_CLUSTER_UNSUPPORTED' });
    client.disconnect();
  });

  it('is refused with another database than 0', async () => {
    await expect(open({ url: shard.url, db: 1 })).rejects.toMatchObject({
      code: 'SLUICE_CLUSTER_UNSUPPORTED',
      message: expect.stringContaining('database 0 only, and db is 1. Leave db out'),
    });
  });

  it('is refused if CLUSTER NODES is, and names the right', async () => {
    await asked(shard.url, (admin) =>
      admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', '~*', '&*', '+@all', '-cluster'),
    );
    await expect(open({ url: shard.url.replace('//', '//app:secret@') })).rejects.toMatchObject({
      code: 'SLUICE_CLUSTER_UNSUPPORTED',
      message: expect.stringMatching(/NOPERM.*Grant it with ACL SETUSER \(\+cluster\|nodes\)/),
    });
  });

  it('takes no command if the boot does not wait for it, says so, and is looked at again on each connect', async () => {
    const connections = made({ url: node.url, required: false });
    const errors: string[] = [];
    const warnings: string[] = [];
    jest.spyOn(connections.logger, 'error').mockImplementation((text: unknown) => void errors.push(String(text)));
    jest.spyOn(connections.logger, 'warn').mockImplementation((text: unknown) => void warnings.push(String(text)));
    const connection = (await connections.open()).get();
    await until(() => errors.length > 0, { what: 'it is reported' });
    expect(errors[0]).toMatch(/server check: .*has 5461 of its 16384 slots/);
    expect(warnings).toEqual([expect.stringMatching(/is down: .*has 5461 of its 16384 slots/)]);
    expect(connection.stats.up).toBe(false);
    // Of any slot, its own ones as well.
    for (const name of names) {
      await expect(connection.commands.send('get', [name])).rejects.toMatchObject({
        code: 'SLUICE_REDIS_UNAVAILABLE',
        outcome: 'not-sent',
        message: expect.stringContaining('has 5461 of its 16384 slots'),
      });
    }
    // The next connect leads to the same server.
    connection.commands.reset();
    await until(() => errors.length === 2, { what: 'it is reported again' });
    await expect(connection.commands.send('get', ['name1'])).rejects.toMatchObject({
      outcome: 'not-sent',
      message: expect.stringContaining('has 5461 of its 16384 slots'),
    });
    await asked(node.url, (admin) => admin.call('CLUSTER', 'ADDSLOTSRANGE', '5461', '16383'));
    try {
      await asked(node.url, (admin) =>
        until(async () => (await admin.cluster('INFO')).includes('cluster_state:ok'), { what: 'it serves' }),
      );
      connection.commands.reset();
      await until(() => connection.commands.up, { what: 'it is back' });
      await until(
        () =>
          connection.commands.send('get', ['name1']).then(
            () => true,
            () => false,
          ),
        { what: 'it takes commands' },
      );
      expect(errors).toHaveLength(2);
    } finally {
      await asked(node.url, (admin) => admin.call('CLUSTER', 'DELSLOTSRANGE', '5461', '16383'));
    }
  });

  it('explains what it refuses later: a slot that it has lost, and keys of several slots', async () => {
    const connection = (await open({ url: shard.url })).get();
    await expect(connection.commands.send('mget', ['a', 'b'])).rejects.toMatchObject({
      code: 'SLUICE_REDIS_REFUSED',
      message: expect.stringMatching(/CROSSSLOT.*must have one hash tag in their names, as in \{orders\}/),
    });
  });

  it('explains a slot that it has lost: the command did not run, and may run at another server later', async () => {
    const { commands } = (await open({ url: plain.url })).get();
    jest.spyOn(commands.client, 'sendCommand').mockImplementation((command) => {
      command.reject(new Error('MOVED 866 127.0.0.1:7002'));
      return command.promise;
    });
    await expect(commands.send('get', ['name1'])).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNAVAILABLE',
      outcome: 'not-sent',
      refusal: 'MOVED',
      message: expect.stringMatching(/MOVED 866.*does not have the slot of this key\. Give one that has all slots/),
    });
  });

  it.each([
    [
      'a 1:1@2 myself,master - 0 0 1 connected 0-5460 7 9-10 [93->-x] [77-<-y]\nb 1:2@3 master - 0 0 2 connected 5461',
      5464,
    ],
    ['b 1:2@3 master - 0 0 2 connected 5461-16383\na 1:1@2 myself,master - 0 0 1 connected 0-5460', 5461],
    ['a 1:1@2 myself,slave b 0 0 1 connected\nb 1:2@3 master - 0 0 2 connected 0-16383\n', 0],
    ['', 0],
  ])('has the slots of its own line in CLUSTER NODES: %j', (nodes, slots) => {
    expect(ownSlots(nodes)).toBe(slots);
  });
});
