import { SluiceError } from '../../weave/index.js';
import type { DeclaredHandler } from '../decorators/task-handler.decorator.js';
import type { DeclaredSchedule } from '../decorators/task-schedule.decorator.js';
import type { StoredSchedule } from '../schedules/schedule.js';
import { resolveSchedule, storedSchedule } from '../schedules/schedule.options.js';
import { refuseSchedules } from '../ordering/ordering.options.js';
import { queueSchema } from '../queue-definition.js';
import { encodePayload } from '../task/payload.js';
import { checked, type StandardSchema } from '../task/standard-schema.js';

/** A schedule of a handler, with what the boot still has to check. */
export interface HandlerSchedule extends StoredSchedule {
  /** Begins messages. */
  readonly path: string;
  readonly queue: string;
  readonly schema: StandardSchema | undefined;
}

/**
 * The schedules of one handler, checked.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, which names the field; `SLUICE_QUEUE_UNSERIALIZABLE`, `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`
 */
export function handlerSchedules(
  className: string,
  { key, queues }: DeclaredHandler,
  declared: readonly DeclaredSchedule[],
  maxPayloadBytes: number,
): HandlerSchedule[] {
  const [definition] = queues;
  if (definition === undefined) return [];
  const { name: queue } = definition;
  return declared
    .filter((each) => each.key === key)
    .map(({ scheduleId, spec, options, decorator }) => {
      const path = `${decorator} on ${className}.${String(key)}`;
      refuseSchedules(definition, path);
      const { payload = null, ...rest } = options ?? {};
      const schedule = resolveSchedule(path, scheduleId, spec, rest);
      const text = encodePayload(payload, `${path}: payload`, maxPayloadBytes);
      return { ...storedSchedule(schedule, text), path, queue, schema: queueSchema(definition) };
    });
}

/** @throws SluiceError `SLUICE_BAD_DECORATION` if a schedule is on a method that handles no queue, several, or all names of one */
export function refuseLostSchedules(
  className: string,
  handlers: readonly DeclaredHandler[],
  schedules: readonly DeclaredSchedule[],
): void {
  for (const { key, decorator } of schedules) {
    const own = handlers.filter((handler) => handler.key === key);
    const queues = own.map(({ queue, isWhole }) => (isWhole ? `all tasks of '${queue}'` : `'${queue}'`));
    if (queues.length === 1 && own[0]?.isWhole === false) continue;
    throw new SluiceError(
      'SLUICE_BAD_DECORATION',
      `${decorator} on ${className}.${String(key)}: the method must have one @TaskHandler, of one queue or named task, which gets the tasks; ` +
        `it has ${queues.join(' and ') || 'none'}`,
    );
  }
}

/** @throws SluiceError `SLUICE_DUPLICATE_SCHEDULE` */
export function refuseDuplicates(known: readonly HandlerSchedule[], added: readonly HandlerSchedule[]): void {
  for (const [i, { queue, schedule, path }] of added.entries()) {
    const other = [...known, ...added.slice(0, i)].find(
      (each) => each.queue === queue && each.schedule.id === schedule.id,
    );
    if (other === undefined) continue;
    throw new SluiceError(
      'SLUICE_DUPLICATE_SCHEDULE',
      `queue '${queue}' has two schedules '${schedule.id}': ${other.path} and ${path}. Give each an id of its own`,
    );
  }
}

/**
 * Checks the payloads of schedules by the schemas of their queues.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`; its `cause` has the issues
 */
export async function checkSchedulePayloads(schedules: readonly HandlerSchedule[]): Promise<void> {
  await Promise.all(
    schedules.map(async ({ schema, payload, queue, path }) => {
      if (schema === undefined) return;
      try {
        await checked(schema, JSON.parse(payload), { queue, root: 'payload', at: 'publish' });
      } catch (cause) {
        throw new SluiceError('SLUICE_BAD_OPTION', `${path}: payload: ${(cause as Error).message}`, { cause });
      }
    }),
  );
}
