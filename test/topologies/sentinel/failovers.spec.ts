import { expect, it } from '@jest/globals';
import { until } from '../../support/until.js';
import { FailoverBed } from './failover-bed.js';

const bed = new FailoverBed();

it('a primary that is killed: nothing is lost, no two hold, nothing is stale', async () => {
  const old = await bed.start();
  const { history, window } = await bed.survive({ old, begin: () => old.kill() });
  expect(history.violations).toEqual([]);
  expect(history.stale().outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});

it('a primary that hangs with the first Sentinel: all features work at the new one', async () => {
  const { history, window } = await bed.surviveHanging([0]);
  expect(history.violations).toEqual([]);
  expect(history.stale().outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});

it('a planned failover loses what was acknowledged in the moment of the switch, and no more', async () => {
  const old = await bed.start();
  const { history, window } = await bed.survive({ old, begin: () => bed.group.failover() });
  // What was acknowledged before the failover or after the move is there.
  expect(history.lost([window]).outside).toEqual([]);
  // An invalidation that was lost with the old primary leaves the value on the new one.
  expect(history.stale([window]).outside).toEqual([]);
});

it('a primary that is cut off, with min-replicas-to-write: no two hold, and no token falls', async () => {
  const old = await bed.start(['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1']);
  const { history, window } = await bed.survive({
    old,
    begin: () => bed.group.isolate(old),
    end: () => bed.group.rejoin(old),
  });
  expect(history.violations).toEqual([]);
  expect(history.stale([window]).outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});

it('a primary that is cut off, without it: two may hold until all processes have left that primary, and not after', async () => {
  const old = await bed.start();
  const { history, window } = await bed.survive({
    old,
    begin: async () => {
      await bed.group.isolate(old);
      await bed.group.promotion(old);
      // It still takes writes, so work that succeeds does not tell where.
      const clients = (): Promise<unknown> => old.ask((client) => client.client('LIST'));
      await until(async () => !String(await clients()).includes(' name=sluice:'), { what: 'all sockets have left it' });
    },
    end: () => bed.group.rejoin(old),
  });
  const [fromMs, leftMs] = window;
  const atMs = history.violations.map(({ second }) => Number(second.from) / 1e6);
  expect(atMs.filter((ms) => ms < fromMs || ms > leftMs)).toEqual([]);
  expect(history.stale([window]).outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});
