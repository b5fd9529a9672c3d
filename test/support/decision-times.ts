import type { INestApplicationContext } from '@nestjs/common';
import type { Recorded } from './limit-records.js';

interface Reply {
  readonly nowUs: number;
  readonly isRepeat: boolean;
  readonly runs?: readonly { readonly granted: number; readonly dueUs: number }[];
}

interface Request {
  readonly subjects: readonly (readonly string[])[];
  readonly rules: readonly { readonly limit: number; readonly spanUs: number }[];
  readonly runs: readonly { readonly cost: number }[];
}

interface Store {
  consume: (request: Request, deadlineMs: number) => Promise<readonly Reply[]>;
}

export interface DecidedOptions {
  /** How long the store waits for Redis, in place of the 250 ms of a decision: a slow machine is then no outage. */
  readonly waitsMs?: number;
}

/** Tells of each answer of Redis to calls of `RateLimitService`: its server's time is not part of the decisions. */
export function onDecided(
  app: INestApplicationContext,
  tell: (record: Recorded) => void,
  { waitsMs }: DecidedOptions = {},
): void {
  const store = app.get<Store>('sluice:limit-store');
  const consume = store.consume.bind(store);
  store.consume = async (request, deadlineMs) => {
    const replies = await consume(request, waitsMs ?? deadlineMs);
    for (const [i, { runs = [], nowUs, isRepeat }] of replies.entries()) {
      const units = request.runs.reduce((sum, { cost }, run) => sum + cost * (runs[run]?.granted ?? 0), 0);
      const key = request.subjects[i]?.[0] ?? '';
      const [name = '', subject = ''] = key.split(':').toReversed();
      tell({
        name,
        subject,
        atUs: nowUs,
        units,
        isRepeat,
        limit: request.rules[0]?.limit ?? 0,
        dueUs: runs[0]?.dueUs ?? 0,
      });
    }
    return replies;
  };
}
