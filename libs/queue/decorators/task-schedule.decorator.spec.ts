import { describe, expect, it } from '@jest/globals';
import type { Type } from '@nestjs/common';
import { Module } from '@nestjs/common';
import { z } from 'zod';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { TaskHandler, TaskSchedule, defineQueue, type Task } from '../index.js';
import { declaredSchedules } from './task-schedule.decorator.js';

const bed = new QueueBed();
const Mails = defineQueue('mails', {
  schema: z.object({ to: z.string().refine((to) => Promise.resolve(to !== 'bad')) }),
});

/** The lines that an app with these providers logs at its boot. */
async function boot(...providers: Type[]): Promise<string[]> {
  @Module({ providers })
  class Handlers {}
  const lines: string[] = [];
  await bed.start({ imports: [Handlers], logged: (level, message) => lines.push(`${level}: ${message}`) });
  return lines;
}

describe('@TaskSchedule', () => {
  it('stores what a class declares and inherits; a method that is declared anew replaces its schedules', async () => {
    class Base {
      @TaskHandler('a')
      @TaskSchedule('a-1', '0 3 * * *')
      @TaskSchedule('a-2', { everyMs: 3_600_000 }, { payload: [1] })
      a(_: Task<readonly number[] | null>): number {
        return 1;
      }

      @TaskHandler('b')
      @TaskSchedule('b-1', '0 3 * * *')
      b(): number {
        return 1;
      }
    }
    class Derived extends Base {
      @TaskHandler('b')
      override b(): number {
        return 1;
      }
    }
    expect(declaredSchedules(Derived.prototype).map(({ scheduleId }) => scheduleId)).toEqual(['a-2', 'a-1']);
    await boot(Derived);
    expect((await bed.admin.hkeys('{a}:~schedule-states')).sort()).toEqual(['a-1', 'a-2']);
    expect(await bed.admin.exists('{b}:~schedule-states')).toBe(0);
  });

  it('warns when several groups get each task', async () => {
    class Two {
      @TaskHandler('tasks', { group: 'a' })
      @TaskSchedule('nightly', '0 3 * * *')
      a(): number {
        return 1;
      }

      @TaskHandler('tasks', { group: 'b' })
      b(): number {
        return 1;
      }
    }
    const warnings = (await boot(Two)).filter((line) => line.includes('2 consumer groups'));
    expect(warnings).toEqual([expect.stringMatching(/^warn: queue 'tasks' has schedules and 2 consumer groups/)]);
  });
});

describe('the boot fails, and names the field,', () => {
  const refused = async (provider: Type, code: string, ...texts: string[]): Promise<void> => {
    const error = await boot(provider).then(
      () => undefined,
      (thrown: unknown) => thrown as Error & { code: string },
    );
    expect(error?.code).toBe(code);
    for (const text of texts) expect(error?.message).toContain(text);
    expect(await bed.admin.keys('*schedule*')).toEqual([]);
  };

  it('for an expression that is none', async () => {
    class Bad {
      @TaskHandler('tasks')
      @TaskSchedule('nightly', '61 * * * *')
      a(): number {
        return 1;
      }
    }
    await refused(Bad, 'SLUICE_BAD_OPTION', "@TaskSchedule('nightly') on Bad.a: spec", '61 * * * *');
  });

  it('for a payload that the schema refuses, also an asynchronous one', async () => {
    class Bad {
      @TaskHandler(Mails)
      @TaskSchedule('nightly', '0 3 * * *', { payload: { to: 'bad' } })
      a(_: Task<{ to: string }>): number {
        return 1;
      }
    }
    await refused(Bad, 'SLUICE_BAD_OPTION', "@TaskSchedule('nightly') on Bad.a: payload", 'payload.to');
  });

  it('for a payload that JSON would change', async () => {
    class Bad {
      @TaskHandler('tasks')
      @TaskSchedule('nightly', '0 3 * * *', { payload: { at: new Date() } as never })
      a(): number {
        return 1;
      }
    }
    await refused(Bad, 'SLUICE_QUEUE_UNSERIALIZABLE', 'Bad.a: payload.at');
  });

  it('for a method that is no handler, or handles two queues', async () => {
    class None {
      @TaskSchedule('nightly', '0 3 * * *')
      a(): number {
        return 1;
      }
    }
    await refused(None, 'SLUICE_BAD_DECORATION', 'None.a', 'one @TaskHandler');
    class Two {
      @TaskHandler('a')
      @TaskHandler('b')
      @TaskSchedule('nightly', '0 3 * * *')
      a(): number {
        return 1;
      }
    }
    await refused(Two, 'SLUICE_BAD_DECORATION', "'a'", "'b'");
  });

  it('for two schedules of one id on one queue', async () => {
    class Twice {
      @TaskHandler('tasks', { group: 'a' })
      @TaskSchedule('nightly', '0 3 * * *')
      a(): number {
        return 1;
      }

      @TaskHandler('tasks', { group: 'b' })
      @TaskSchedule('nightly', '0 4 * * *')
      b(): number {
        return 1;
      }
    }
    await refused(Twice, 'SLUICE_DUPLICATE_SCHEDULE', 'Twice.a', 'Twice.b', "'nightly'");
  });
});

it('is refused on what is no method', () => {
  const decorate = TaskSchedule('x', '0 3 * * *') as unknown as (target: object, key: string) => void;
  expect(() => {
    decorate(Array, 'from');
  }).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_DECORATION' }));
});
