import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../../test/support/manual-clock.js';
import { Delivery } from '../../task/delivery.js';
import type { ResolvedBatch } from '../../task/batch.options.js';
import { BatchFormer } from './batch-former.js';

/** A former on a clock that stands still, with the tasks that wait for it. */
function former(batch: ResolvedBatch): {
  clock: ManualClock;
  window: { wantsMore: boolean; free: boolean };
  add: (payloads: readonly string[], deliveries?: number) => void;
  /** Starts what may start, and returns the batches since the last call. */
  pump: () => string[];
  stop: () => void;
} {
  const clock = new ManualClock();
  const window = { wantsMore: true, free: true };
  const prefetched: Delivery[] = [];
  const batches: string[] = [];
  const start = (): void => {
    subject.pump(prefetched);
  };
  const subject = new BatchFormer({
    batch,
    window,
    clock,
    isolation: { concerns: ({ deliveries }) => deliveries >= 3 },
    run: (deliveries) => batches.push(deliveries.map(({ task }) => String(task?.payload)).join(' ')),
    deadLetter: ({ id }) => batches.push(`unreadable ${id}`),
    mayStart: () => true,
    onTime: start,
  });
  return {
    clock,
    window,
    add: (payloads, deliveries = 1) => {
      for (const payload of payloads) {
        const entry = { id: `1-${prefetched.length}`, fields: ['payload', payload], deliveries };
        prefetched.push(new Delivery('tasks', entry, clock.monoMs()));
      }
    },
    pump: () => {
      start();
      return batches.splice(0);
    },
    stop: () => {
      subject.stop();
    },
  };
}

describe('BatchFormer', () => {
  it('takes up to max, and at once what is there if there is no wait', () => {
    const { add, pump } = former({ max: 2, waitMs: 0 });
    add(['1', '2', '3']);
    expect(pump()).toEqual(['1 2', '3']);
  });

  it('waits from the first task on, and not longer because others come', async () => {
    const { clock, add, pump } = former({ max: 10, waitMs: 100 });
    add(['1']);
    expect(pump()).toEqual([]);
    await clock.pass(60);
    add(['2']);
    expect(pump()).toEqual([]);
    await clock.pass(39);
    expect(pump()).toEqual([]);
    expect(clock.timers).toBe(1);
    await clock.pass(1);
    expect(pump()).toEqual(['1 2']);
    expect(clock.timers).toBe(0);
  });

  it('counts the time that a task has waited for a place', () => {
    const { clock, add, pump } = former({ max: 10, waitMs: 100 });
    add(['1']);
    clock.jump(100);
    expect(pump()).toEqual(['1']);
  });

  it('does not wait longer for a task that was put behind newer ones', () => {
    const { clock, add, pump } = former({ max: 10, waitMs: 100 });
    add(['2'], 1);
    clock.jump(-50);
    add(['1'], 1);
    clock.jump(100);
    expect(pump()).toEqual(['2 1']);
  });

  it('waits for nothing once it is full, and the rest has its own time', async () => {
    const { clock, add, pump } = former({ max: 2, waitMs: 100 });
    add(['1']);
    expect(pump()).toEqual([]);
    await clock.pass(50);
    add(['2', '3']);
    expect(pump()).toEqual(['1 2']);
    await clock.pass(60);
    expect(pump()).toEqual([]);
    await clock.pass(40);
    expect(pump()).toEqual(['3']);
  });

  it('waits for nothing while no more tasks are read', () => {
    const { window, add, pump } = former({ max: 10, waitMs: 100 });
    window.wantsMore = false;
    add(['1', '2']);
    expect(pump()).toEqual(['1 2']);
  });

  it('runs an isolated task alone and at once, wherever it is, and the others as before', async () => {
    const { clock, add, pump } = former({ max: 10, waitMs: 100 });
    add(['1']);
    add(['"killer"'], 3);
    add(['2']);
    expect(pump()).toEqual(['killer']);
    await clock.pass(100);
    expect(pump()).toEqual(['1 2']);
  });

  it('settles what is no task apart', () => {
    const { add, pump } = former({ max: 10, waitMs: 0 });
    add(['1', '{', '2']);
    expect(pump()).toEqual(['unreadable 1-1', '1 2']);
  });

  it('starts nothing by itself once it is stopped', async () => {
    const { clock, add, pump, stop } = former({ max: 10, waitMs: 100 });
    add(['1']);
    expect(pump()).toEqual([]);
    stop();
    expect(clock.timers).toBe(0);
  });
});
