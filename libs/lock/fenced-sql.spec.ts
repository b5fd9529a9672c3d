import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LockBed } from '../../test/support/lock-bed.js';

const bed = new LockBed();

/** The statements of the guide, word for word: what is shown there is what runs here. */
const [, block = ''] = /^```sql\n(.*?)^```/ms.exec(readFileSync('docs/guide/lock.md', 'utf8')) ?? [];
const [addFence = '', write = ''] = block.split(/;.*\n/);

let db: PGlite;
beforeAll(async () => {
  // To optimise its WebAssembly takes V8 longer than all queries here.
  setFlagsFromString('--liftoff-only');
  db = new PGlite();
  await db.exec(
    "CREATE TABLE accounts (id text PRIMARY KEY, balance bigint NOT NULL); INSERT INTO accounts VALUES ('a', 100)",
  );
  await db.exec(addFence);
});
afterAll(() => db.close());

/** How many rows were written. */
async function set(balance: number, fencingToken: number): Promise<number | undefined> {
  return (await db.query(write, [balance, fencingToken, 'a'])).affectedRows;
}
const row = async (): Promise<unknown> => (await db.query('SELECT balance, fence FROM accounts')).rows[0];

describe("the guide's guard for SQL", () => {
  it('lets a holder write as often as it likes, and refuses it once a later one has written', async () => {
    const locks = await bed.service();
    const early = await locks.acquire('account:a');
    expect(await set(90, early.fencingToken)).toBe(1);
    expect(await set(80, early.fencingToken)).toBe(1);
    // It is put out, and does not know: as if paused beyond its lease.
    await bed.admin.del('lock:account:a');
    const late = await locks.acquire('account:a');
    // Nobody newer has written yet.
    expect(await set(70, early.fencingToken)).toBe(1);
    expect(await set(60, late.fencingToken)).toBe(1);
    expect(await set(50, early.fencingToken)).toBe(0);
    expect(await row()).toEqual({ balance: 60, fence: late.fencingToken });
  });

  it('holds tokens until the year 2255', async () => {
    expect(await set(1, Number.MAX_SAFE_INTEGER)).toBe(1);
    expect(await set(2, Number.MAX_SAFE_INTEGER - 1)).toBe(0);
    expect(await row()).toEqual({ balance: 1, fence: Number.MAX_SAFE_INTEGER });
  });
});
