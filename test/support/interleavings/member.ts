import { setImmediate as turn } from 'node:timers/promises';
import { emit, serve } from '../app-host.js';
import type { Rival } from './rival.js';

/** One process of a fleet: calls the library as it is told, and asks its parent, the source, for what is loaded. */
export function serveRival(rival: Rival): void {
  const loads = new Map<number, { resolve: (value: string) => void; reject: (error: Error) => void }>();
  let last = 0;
  const load = (key: string): Promise<string> =>
    new Promise((resolve, reject) => {
      loads.set(++last, { resolve, reject });
      emit('load', { key, load: last } satisfies LoadEvent);
    });
  const ask = (key: string, tag: string): Promise<unknown> => rival.getOrLoad(key, () => load(key), tag);
  serve({
    ops: {
      ask,
      askOften: async (key: string, tag: string, times: number): Promise<Outcome[]> => {
        const calls = await Promise.allSettled(Array.from({ length: times }, () => ask(key, tag)));
        return calls.map((call) =>
          call.status === 'fulfilled' ? { value: call.value } : { error: (call.reason as Error).message },
        );
      },
      answer: (id: number, value: string) => loads.get(id)?.resolve(value),
      fail: (id: number, message: string) => loads.get(id)?.reject(new Error(message)),
      delete: (key: string) => rival.delete(key),
      invalidateTag: (tag: string) => rival.invalidateTag?.(tag),
      // Whatever has arrived by now has been handled after it.
      turn: () => turn(),
    },
    stop: () => rival.close(),
  });
}

export interface LoadEvent {
  key: string;
  load: number;
}

/** What a caller got. */
export type Outcome = { value: unknown } | { error: string };
