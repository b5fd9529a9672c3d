import { describe, expect, it } from '@jest/globals';
import {
  GROUP,
  KeyedScriptBed,
  ME,
  PARKED,
  RELEASED,
  gates,
  keys,
  retries,
} from '../../../../test/model/keyed-script-bed.js';

const bed = new KeyedScriptBed();

/** The first of three tasks of the key runs, and the others wait. */
async function running(): Promise<{ first: Awaited<ReturnType<typeof bed.take>>['claimed'][number]; ids: string[] }> {
  await bed.declare();
  const ids = await bed.publish(['a', 'a', 'a']);
  const [first] = (await bed.take()).claimed;
  return { first: first!, ids };
}

const isHealthy = async (): Promise<void> => {
  const before = [await bed.holders(), await bed.lines(), await bed.owned()];
  expect(await bed.heal()).toMatchObject({ opened: 0, lined: 0 });
  expect([await bed.holders(), await bed.lines(), await bed.owned()]).toEqual(before);
};

describe('a key stays as it is while its task', () => {
  it('runs, or is with a dead process', async () => {
    await running();
    await isHealthy();
    await bed.admin.del(keys.alive);
    await isHealthy();
  });

  it('waits for its retry, or was returned', async () => {
    const { first, ids } = await running();
    await bed.fail(first);
    await isHealthy();
    await bed.take();
    await isHealthy();
    expect(await bed.holders()).toEqual({ a: ids[0] });
    await bed.admin.call('XCLAIM', keys.stream, GROUP, RELEASED, 0, (await bed.owned())[ME]![0]!);
    await isHealthy();
  });

  it('is delayed', async () => {
    const { first } = await running();
    await bed.fail(first, { delayMs: 60_000 });
    await isHealthy();
  });

  it("is among the group's own retries, delayed or not", async () => {
    const { first } = await running();
    await bed.admin.xgroup('CREATE', keys.stream, 'others', '0');
    await bed.admin.xgroup('CREATE', retries.stream, GROUP, '0', 'MKSTREAM');
    await bed.fail(first);
    await isHealthy();
    const own = (await bed.take({ own: true })).claimed;
    expect(own).toHaveLength(1);
    await isHealthy();
    await bed.fail(own[0]!, { own: true, delayMs: 60_000 });
    await isHealthy();
  });

  it("is among the group's own retries, which nobody has read yet", async () => {
    const { first } = await running();
    await bed.admin.xgroup('CREATE', keys.stream, 'others', '0');
    await bed.fail(first);
    expect(await bed.admin.exists(retries.stream)).toBe(1);
    await isHealthy();
  });

  it('is a dead letter, and the key stopped', async () => {
    const { first, ids } = await running();
    await bed.fail(first, { dead: true, stops: true });
    await isHealthy();
    expect(await bed.holders()).toEqual({ a: `!${ids[0]}` });
  });

  it('comes back from the dead letters', async () => {
    const { first, ids } = await running();
    await bed.fail(first, { dead: true, stops: true });
    await bed.admin.del(keys.dead, keys.deadIndex);
    const id = (await bed.admin.xadd(keys.stream, '*', 'payload', '1', 'meta', JSON.stringify({ id: ids[0] })))!;
    const [ms, seq] = id.split('-').map(Number);
    await bed.admin.zadd(keys.index, ms! + seq! / 2_048, ids[0]!);
    await isHealthy();
  });

  it('runs under an id that other software gave it, and that no index knows', async () => {
    await bed.declare();
    for (const id of ['x', 'y']) {
      await bed.admin.xadd(keys.stream, '*', 'payload', '1', 'meta', JSON.stringify({ id }), 'ordering_key', 'a');
    }
    await bed.take();
    expect(await bed.holders()).toEqual({ a: 'x' });
    await isHealthy();
  });

  it('is where the index cannot say it', async () => {
    const { first } = await running();
    await bed.fail(first);
    await bed.admin.del(keys.index);
    await bed.admin.set(keys.index, 'x');
    await isHealthy();
  });
});

describe('a key goes on when its task', () => {
  it('was deleted and acknowledged, by others', async () => {
    const { first, ids } = await running();
    await bed.admin.xack(keys.stream, GROUP, first.id);
    expect(await bed.heal()).toMatchObject({ opened: 1 });
    expect(await bed.holders()).toEqual({ a: ids[1] });
    expect(await bed.owned()).toEqual({ [RELEASED]: [ids[1]], [PARKED]: [ids[2]] });
  });

  it('was removed while it was delayed', async () => {
    const { first, ids } = await running();
    await bed.fail(first, { delayMs: 60_000 });
    await bed.admin.del(keys.delayed, keys.bodies);
    expect(await bed.heal()).toMatchObject({ opened: 1 });
    expect(await bed.holders()).toEqual({ a: ids[1] });
  });

  it('is a deleted dead letter', async () => {
    const { first, ids } = await running();
    await bed.fail(first, { dead: true, stops: true });
    await bed.admin.del(keys.dead, keys.deadIndex);
    expect(await bed.heal()).toMatchObject({ opened: 1 });
    expect(await bed.holders()).toEqual({ a: ids[1] });
  });

  it('has lost its gate', async () => {
    const { ids } = await running();
    await bed.publish(['b', 'b']);
    await bed.take();
    await bed.admin.del(gates.gates);
    expect(await bed.heal()).toMatchObject({ opened: 2 });
    expect((await bed.holders())['a']).toBe(ids[1]);
  });

  it('went with the whole stream', async () => {
    await running();
    await bed.admin.del(keys.stream);
    await bed.heal();
    expect(await bed.admin.exists(gates.gates, gates.line)).toBe(0);
  });
});

it('what is parked gets its place in line back, in its order', async () => {
  const { ids } = await running();
  const lines = await bed.lines();
  await bed.admin.del(gates.line);
  expect(await bed.heal()).toMatchObject({ opened: 0, lined: 2 });
  expect(await bed.lines()).toEqual(lines);
  // Both keys are gone: the first one that waits goes on.
  await bed.admin.del(gates.line, gates.gates);
  await bed.heal();
  // Without any of the two, nobody knows that the queue is ordered by keys.
  await bed.admin.hset(gates.gates, 'z', 'nobody');
  expect(await bed.heal()).toMatchObject({ lined: 2, opened: 2 });
  expect(await bed.holders()).toEqual({ a: ids[1] });
});

it('looks at everything, a hundred at a time', async () => {
  await bed.declare();
  const names = Array.from({ length: 600 }, (_, i) => `k${i}`);
  await bed.publish([...names, ...names]);
  const { claimed } = await bed.take({ capacity: 1_000, readMost: 600 });
  expect(claimed).toHaveLength(600);
  await bed.admin.xack(keys.stream, GROUP, ...claimed.map(({ id }) => id));
  const { opened, calls } = await bed.heal();
  expect(opened).toBe(600);
  expect(calls).toBeGreaterThanOrEqual(4);
  expect(calls).toBeLessThan(40);
  await bed.admin.del(gates.line);
  const again = (await bed.take({ capacity: 1_000, readMost: 1_000 })).claimed;
  expect(again).toHaveLength(600);
});

it('looks at most once in a while, whoever asks', async () => {
  const { first, ids } = await running();
  expect(await bed.heal(60_000)).toMatchObject({ opened: 0 });
  await bed.admin.xack(keys.stream, GROUP, first.id);
  expect(await bed.heal(60_000)).toMatchObject({ opened: 0 });
  expect(await bed.heal()).toMatchObject({ opened: 1 });
  expect(await bed.holders()).toEqual({ a: ids[1] });
  expect(await bed.admin.pttl(keys.swept)).toBeGreaterThan(0);
});

it('leaves a queue with data of a newer release alone', async () => {
  const { first } = await running();
  await bed.admin.xack(keys.stream, GROUP, first.id);
  await bed.admin.hset(keys.uses, 'newer', '9');
  await expect(bed.heal()).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
  expect(await bed.holders()).toEqual({ a: first.id });
});

describe('what an operator has removed', () => {
  const gone = async (id: string): Promise<void> => {
    await bed.admin.xack(keys.stream, GROUP, id);
    await bed.admin.xdel(keys.stream, id);
  };

  it('opens its key alone, with as many tasks as held it', async () => {
    await bed.declare();
    bed.places = 2;
    const all = await bed.publish(['a', 'a', 'a', 'a', 'b', 'b', 'b']);
    await bed.take();
    for (const i of [0, 4]) await gone(all[i]!);
    expect(await bed.heal(0, 'a')).toMatchObject({ opened: 1, calls: 1 });
    expect(await bed.holders()).toEqual({ a: `${all[1]}\0${all[2]}`, b: `${all[4]}\0${all[5]}` });
    expect(await bed.heal(0, 'a')).toMatchObject({ opened: 0 });
    bed.places = 1;
  });

  it('opens all keys that are held, and looks at nothing else', async () => {
    await bed.declare();
    const all = await bed.publish(['a', 'a', 'b', 'b']);
    await bed.take();
    await gone(all[0]!);
    await bed.admin.hdel(gates.gates, 'b');
    expect(await bed.heal(0, '')).toMatchObject({ opened: 1 });
    expect(await bed.holders()).toEqual({ a: all[1] });
    await bed.admin.del(gates.line);
    expect(await bed.heal(0, '')).toMatchObject({ opened: 0, lined: 0 });
  });
});
