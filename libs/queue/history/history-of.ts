import type { QueuesByName } from '../limits/length-limits.js';
import { namedIn, optionNames } from '../named-tasks.js';
import type { QueueRef } from '../queue-definition.js';
import type { HistoryOptions, ResolvedHistory } from './history.options.js';

/**
 * What a worker records of a queue: what the definition says, with what the configuration changes, member by member. Undefined: nothing.
 * The configuration of a queue of named tasks is for each name.
 */
export function historyOf(queue: QueueRef<unknown>, name: string, queues: QueuesByName): ResolvedHistory | undefined {
  const declared = typeof queue === 'string' ? undefined : queue.history;
  const given = optionNames(name, namedIn(queue)).reduce<HistoryOptions | undefined>((history, each) => {
    const change = queues.get(each)?.history;
    return change === undefined ? history : change === false ? undefined : { ...history, ...withoutMissing(change) };
  }, declared);
  const { completed = 0, failed = 0 } = given ?? {};
  return completed + failed > 0 ? { completed, failed } : undefined;
}

function withoutMissing({ completed, failed }: HistoryOptions): HistoryOptions {
  return { ...(completed !== undefined && { completed }), ...(failed !== undefined && { failed }) };
}
