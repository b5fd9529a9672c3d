import { describe, expect, it } from '@jest/globals';
import type { Type } from '@nestjs/common';
import { slotOf } from '../redis/index.js';
import { z } from 'zod';
import {
  Cleans,
  Exports,
  Files,
  Imports,
  NamedTasksBed,
  handlersApart,
  nothingIsLeft,
  wholeHandler,
  type Import,
} from '../../test/support/named-tasks-bed.js';
import { until } from '../../test/support/until.js';
import { defineQueue, payload, type Task } from './index.js';

/** What an older release knows. */
const OldFiles = defineQueue('files', { tasks: { import: payload<Import>() } });

const bed = new NamedTasksBed();
const start = bed.with.bind(bed);

/** Handlers of `import` and `export`, which note what ran. */
function noting(ran: string[], run: (task: Task) => unknown = () => {}): Type {
  return handlersApart(async (task, method) => {
    const { url, page } = task.payload as Partial<Import & { page: number }>;
    ran.push(`${method} ${url ?? page} ${task.name}`);
    await run(task);
  });
}

describe('named tasks', () => {
  it('each go to the handler of their name', async () => {
    const ran: string[] = [];
    const { queue } = await start([noting(ran)]);
    await queue.publish(Imports, { url: 'a' });
    await queue.publishMany(Exports, [{ page: 1 }, { page: 2 }]);
    await queue.publish(Imports, { url: 'later' }, { delayMs: 20 });
    await until(() => ran.length === 4, { what: 'all ran' });
    expect(ran.sort()).toEqual(['export 1 export', 'export 2 export', 'import a import', 'import later import']);
    await nothingIsLeft(queue);
  });

  it('can have one handler, which is told the name', async () => {
    const ran: unknown[] = [];
    const { queue } = await start([
      wholeHandler((task) => {
        if (task.name === 'import') ran.push(task.payload.url);
        else if (task.name === 'export') ran.push(task.payload.page + 1);
        else ran.push(task.name);
      }),
    ]);
    await queue.publish(Imports, { url: 'a' });
    await queue.publish(Exports, { page: 1 });
    await queue.publish(Cleans, null);
    await until(() => ran.length === 3, { what: 'all ran' });
    expect(new Set(ran)).toEqual(new Set(['a', 2, 'clean']));
  });

  it('have a stream each, all in the slot of their queue, for clients in any language', async () => {
    const ran: string[] = [];
    const { queue } = await start([noting(ran)]);
    expect([Imports.name, Exports.name]).toEqual(['{files}.import', '{files}.export']);
    expect(new Set([Imports, Exports].map(({ name }) => slotOf(name))).size).toBe(1);
    const id = await bed.admin.xadd(
      '{files}.import',
      '*',
      'payload',
      '{"url":"cli"}',
      'timestamp',
      1,
      'retry_count',
      0,
    );
    await queue.publish('{files}.export', { page: 7 });
    await until(() => ran.length === 2, { what: 'both ran' });
    expect(ran.sort()).toEqual(['export 7 export', 'import cli import']);
    expect(await queue.inspect(Imports, id!)).toBeUndefined();
  });

  it('of a queue with a hash tag of its own keep that', () => {
    const { tasks } = defineQueue('{tenant}:files', { tasks: { import: payload<Import>() } });
    expect(tasks.import.name).toBe('{tenant}:files.import');
  });

  it('that nothing handles wait, and hold up no other', async () => {
    const ran: string[] = [];
    const { queue } = await start([noting(ran)]);
    await queue.publishMany(Cleans, [null, null, null]);
    await queue.publish(Imports, { url: 'a' });
    await until(() => ran.length === 1, { what: 'the other ran' });
    expect(await queue.counts(Files)).toMatchObject({
      waiting: 3,
      tasks: { clean: { waiting: 3 }, import: { waiting: 0 } },
    });
  });

  it('are retried and become dead letters under their names', async () => {
    const { queue } = await start([
      noting([], () => {
        throw new Error('no');
      }),
    ]);
    const a = await queue.publish(Imports, { url: 'a' });
    const b = await queue.publish(Exports, { page: 1 });
    await until(async () => (await queue.counts(Files)).dead === 2, { what: 'both are dead' });
    expect((await queue.dead(Imports).list()).tasks).toMatchObject([{ id: a, reason: 'max-attempts' }]);
    const { tasks, next } = await queue.dead(Files).list({ limit: 1 });
    expect(tasks).toMatchObject([{ id: a, name: 'import' }]);
    const second = await queue.dead(Files).list({ limit: 1, after: next! });
    expect(second.tasks).toMatchObject([{ id: b, name: 'export' }]);
    expect((await queue.dead(Files).list({ filter: ({ name }) => name === 'export' })).tasks).toHaveLength(1);
    await expect(queue.dead(Files).list({ after: 'x' })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await queue.pause(Files);
    expect(await queue.dead(Files).redrive()).toBe(2);
    expect(await queue.counts(Files)).toMatchObject({ waiting: 2, dead: 0 });
    await queue.resume(Files);
    await until(async () => (await queue.counts(Files)).dead === 2, { what: 'both are dead again' });
    expect(await queue.dead(Files).purge()).toBe(2);
    expect(await queue.counts(Files)).toMatchObject({ dead: 0 });
  });

  it('bring back the letters of other names, though the group of one is gone', async () => {
    const { queue } = await start([
      noting([], () => {
        throw new Error('no');
      }),
    ]);
    const letter = ['payload', '{"url":"x"}', 'timestamp', 1, 'retry_count', 3, 'meta', '', 'original_id', '1-1'];
    await bed.admin.xadd('{files}.import:~dead', '*', ...letter, 'reason', 'max-attempts', 'group', 'gone');
    await queue.publish(Exports, { page: 1 });
    await until(async () => (await queue.counts(Files)).dead === 2, { what: 'both are dead' });
    await queue.pause(Files);
    await expect(queue.dead(Files).redrive()).rejects.toMatchObject({ code: 'SLUICE_QUEUE_NO_GROUP' });
    expect(await queue.counts(Files)).toMatchObject({ dead: 1, tasks: { export: { dead: 0, waiting: 1 } } });
  });

  it('are listed and counted together and apart', async () => {
    const { queue } = await start();
    await queue.publishMany(Imports, [{ url: 'a' }, { url: 'b' }]);
    await queue.publish(Exports, { page: 1 }, { delayMs: 60_000 });
    await queue.publish(Cleans, null);
    expect(await queue.counts(Files)).toMatchObject({
      ...{ waiting: 3, delayed: 1, running: 0, dead: 0, paused: false, oldestWaitingMs: expect.any(Number) },
      tasks: { import: { waiting: 2 }, export: { waiting: 0, delayed: 1 }, clean: { waiting: 1 } },
    });
    const seen: string[] = [];
    for (let after: string | undefined; ;) {
      const page = await queue.list(Files, { limit: 2, ...(after !== undefined && { after }) });
      seen.push(...page.tasks.map(({ name }) => name!));
      if (page.next === undefined) break;
      after = page.next;
    }
    expect(seen).toEqual(['import', 'import', 'clean']);
    expect((await queue.list(Files, { state: 'delayed' })).tasks).toMatchObject([{ name: 'export' }]);
    await expect(queue.list(Files, { after: '["gone"]' })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('have the processes that work on any of them', async () => {
    const { queue } = await start([noting([])]);
    const workers = await queue.workers(Files);
    expect(workers).toMatchObject([{ pid: process.pid, running: 0 }]);
    // As if it had read one name and not yet the others.
    await bed.admin.xgroup('CREATECONSUMER', '{files}.import', 'sluice', workers[0]!.consumer);
    expect(await queue.workers(Files)).toMatchObject([{ pid: process.pid, group: 'sluice', running: 0 }]);
  });

  it('are paused together, those that come later too, and can be resumed one by one', async () => {
    const ran: unknown[] = [];
    const { queue } = await start();
    const old = await start([noting([])]);
    expect(await old.queue.pause(OldFiles)).toEqual({ changed: true, unconfirmed: [] });
    expect(await old.queue.pause(OldFiles)).toMatchObject({ changed: false });
    // A newer release has a name of which the process that paused knew nothing.
    const newer = await start([wholeHandler(({ name }) => ran.push(name))]);
    await queue.publish(Imports, { url: 'a' });
    await queue.publish(Exports, { page: 1 });
    await queue.publish(Cleans, null);
    await until(async () => (await newer.queue.counts(Cleans)).paused, { what: 'the new name is paused' });
    expect(await queue.counts(Files)).toMatchObject({ waiting: 3, paused: true });
    expect(await newer.queue.resume(Cleans)).toBe(true);
    await until(() => ran.length === 1, { what: 'one name goes on' });
    expect(ran).toEqual(['clean']);
    // A process that starts now must not pause it again.
    await start([wholeHandler(() => {})]);
    expect(await queue.counts(Files)).toMatchObject({
      paused: false,
      tasks: { clean: { paused: false }, export: { paused: true } },
    });
    expect(await queue.resume(Files)).toBe(true);
    await nothingIsLeft(queue);
    expect(await queue.resume(Files)).toBe(false);
  });

  it('that come after a pause of the whole queue are not paused', async () => {
    const old = await start();
    await old.queue.pause(OldFiles);
    await old.queue.resume(OldFiles);
    const ran: string[] = [];
    const { queue } = await start([wholeHandler(({ name }) => ran.push(name))]);
    expect(await queue.counts(Files)).toMatchObject({ paused: false });
    await queue.publish(Cleans, null);
    await until(() => ran.length === 1, { what: 'it ran' });
  });

  it('of a newer release are seen by an older one', async () => {
    const { queue } = await start([wholeHandler(() => {})]);
    await queue.pause(Cleans);
    await queue.publish(Cleans, null);
    expect(await queue.counts(OldFiles)).toMatchObject({
      waiting: 1,
      tasks: { import: { waiting: 0 }, clean: { waiting: 1 } },
    });
    await queue.resume(Cleans);
    await nothingIsLeft(queue);
    expect(Object.keys((await queue.counts(OldFiles)).tasks)).toEqual(['import']);
  });

  it('work where the key of their names holds something else', async () => {
    await bed.admin.set('{files}:~names', 'x');
    const ran: string[] = [];
    const { queue } = await start([noting(ran)]);
    await queue.publish(Imports, { url: 'a' });
    await until(() => ran.length === 1, { what: 'it ran' });
  });

  it('need one of them where there is no whole', async () => {
    const { queue } = await start();
    const whole = Files as never;
    const bad = { code: 'SLUICE_BAD_OPTION', message: expect.stringContaining('tasks.import') };
    await expect(queue.publish(whole, {})).rejects.toMatchObject(bad);
    await expect(queue.publishMany(whole, [])).rejects.toMatchObject(bad);
    await expect(queue.inspect(whole, '1-1')).rejects.toMatchObject(bad);
    await expect(queue.remove(whole, '1-1')).rejects.toMatchObject(bad);
    expect(() => queue.groups(whole)).toThrow(expect.objectContaining(bad));
  });

  it('refuse definitions that say nothing', () => {
    const define = defineQueue as unknown as (name: string, options: object) => unknown;
    const bad = expect.objectContaining({ code: 'SLUICE_BAD_OPTION' });
    for (const tasks of [undefined, null, {}, [], 'import', { import: { shema: 1 } }, { import: { schema: 1 } }]) {
      expect(() => define('files', { tasks })).toThrow(bad);
    }
    expect(() => define('files', { tasks: { a: {} }, schema: z.string() })).toThrow(bad);
    const badName = expect.objectContaining({ code: 'SLUICE_BAD_NAME' });
    for (const name of ['a{b}', 'a:~b']) expect(() => define('files', { tasks: { [name]: {} } })).toThrow(badName);
  });
});
