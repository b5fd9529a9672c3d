import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PGlite } from '@electric-sql/pglite';
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import type { QueueService, Task } from 'nestjs-sluice/queue';
import { QueueBed } from '../support/queue-bed.js';
import { until } from '../support/until.js';

/** What the page shows: the blocks of code, compiled. */
interface Recipes {
  once(db: unknown, task: Task, work: (sql: Sql) => Promise<void>): Promise<boolean>;
  noteForQueue(sql: Sql, queue: string, payload: unknown): Promise<void>;
  relay(db: unknown, queue: QueueService, most?: number): Promise<number>;
}
interface Sql {
  query(sql: string, values?: unknown[]): Promise<unknown>;
}

const PAGE = readFileSync('docs/guide/queue-acknowledgement.md', 'utf8');
const block = /^```ts\n(.*?)^```/gms;

/** The recipes are run as they stand on the page. */
async function recipesOfPage(): Promise<Recipes> {
  const [, text = ''] =
    [...PAGE.matchAll(block)].find(([, code = '']) => code.includes('export async function once')) ?? [];
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const { outputText } = ts.transpileModule(text, { compilerOptions });
  // Its imports are types.
  return import(`data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`) as Promise<Recipes>;
}
/** The tables that the page names. */
const tables = [...PAGE.matchAll(/^\/\/ (create table .*)$/gm)].map(([, sql = '']) => sql);

const bed = new QueueBed();
let db: PGlite;
let recipes: Recipes;
beforeAll(async () => {
  [db, recipes] = await Promise.all([PGlite.create(), recipesOfPage()]);
  expect(tables).toHaveLength(2);
  for (const sql of tables) await db.exec(sql);
  await db.exec('create table payments (order_id text, cents int)');
}, 300_000);
afterAll(() => db.close());

const rows = async (table: string): Promise<number> =>
  (await db.query<{ count: number }>(`select count(*)::int as count from ${table}`)).rows[0]?.count ?? -1;
const pay = (order: string) => async (sql: Sql) => {
  await sql.query('insert into payments (order_id, cents) values ($1, 700)', [order]);
};

describe('an inbox', () => {
  it('does the work of a task once, although its handler runs twice', async () => {
    const done: boolean[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: async (task: Task<string>) => {
          done.push(await recipes.once(db, task, pay(task.payload)));
          if (task.attempt === 1) throw new Error('dies after its commit');
        },
      },
    });
    await queue.publish('tasks', 'a');
    await until(() => done.length === 2, { what: 'it has run twice' });
    await bed.untilSettled();
    expect(done).toEqual([true, false]);
    expect([await rows('payments'), await rows('inbox')]).toEqual([1, 1]);
  });

  it('does it again if the work failed: the note is rolled back with it', async () => {
    let runs = 0;
    const { queue } = await bed.start({
      handlers: {
        tasks: async (task: Task<string>) => {
          await recipes.once(db, task, async (sql) => {
            await pay(task.payload)(sql);
            if (runs++ === 0) throw new Error('fails before its commit');
          });
        },
      },
    });
    const before = await rows('payments');
    await queue.publish('tasks', 'b');
    await until(() => runs === 2, { what: 'it has run twice' });
    await bed.untilSettled();
    expect(await rows('payments')).toBe(before + 1);
  });
});

describe('an outbox', () => {
  it('publishes what a transaction has decided, and nothing that was rolled back', async () => {
    const { queue } = await bed.start({});
    await db.transaction((sql) => recipes.noteForQueue(sql, 'tasks', { n: 1 }));
    const rolledBack = db.transaction(async (sql) => {
      await recipes.noteForQueue(sql, 'tasks', { n: 2 });
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    expect(await recipes.relay(db, queue)).toBe(1);
    expect(await recipes.relay(db, queue)).toBe(0);
    expect((await queue.list('tasks')).tasks.map(({ payload }) => payload)).toEqual([{ n: 1 }]);
  });

  it('makes one task of a row whose relay died after the publish, also when the task is done', async () => {
    const seen: unknown[] = [];
    const { queue } = await bed.start({ handlers: { tasks: (task: Task) => void seen.push(task.payload) } });
    await db.transaction((sql) => recipes.noteForQueue(sql, 'tasks', { n: 3 }));
    const publish = queue.publishUnique.bind(queue) as (...args: unknown[]) => Promise<unknown>;
    const dies = {
      publishUnique: async (...args: unknown[]) => {
        await publish(...args);
        throw new Error('killed');
      },
    };
    await expect(recipes.relay(db, dies as unknown as QueueService)).rejects.toThrow('killed');
    await until(() => seen.length === 1, { what: 'the task is done' });
    await bed.untilSettled();
    expect(await rows('outbox')).toBe(1);
    expect(await recipes.relay(db, queue)).toBe(1);
    expect(await rows('outbox')).toBe(0);
    await bed.untilSettled();
    expect(seen).toEqual([{ n: 3 }]);
  });
});

describe('a task for a queue in another slot', () => {
  it('is published once under a key of its predecessor, however often that one runs', async () => {
    const mails: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: async (task: Task<string>) => {
          await queue.publishUnique('mails', { order: task.payload }, { key: `${task.id}#0`, windowMs: 604_800_000 });
          await until(() => mails.length === 1, { what: 'the mail is sent' });
          if (task.attempt === 1) throw new Error('dies after the publish');
        },
        mails: (task: Task) => void mails.push(task.payload),
      },
    });
    await queue.publish('tasks', 'a');
    await bed.untilSettled();
    await until(async () => (await queue.counts('mails')).waiting === 0, { what: 'no mail is left' });
    expect(mails).toEqual([{ order: 'a' }]);
  });
});
