/** What else was going on while a contender worked. */
import type { Redis } from 'ioredis';
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Load {
  /** How late, at its 99th percentile, the event loop of the measuring process came round. */
  loopP99Ms: number;
  /** Processor time of the server per time that passed: 1 is a core. */
  serverCpu: number;
}

export type Observe = <T>(work: () => Promise<T>) => Promise<{ result: T; load: Load | undefined }>;

/** The monitor is a timer of this resolution; what it reports beyond that was delay. */
const RESOLUTION_MS = 5;

/** Watches this process' event loop and the server's processor time, over a connection of its own. */
export function observer(client: Redis): Observe {
  return async (work) => {
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    const before = await serverSeconds(client);
    const from = performance.now();
    delay.enable();
    const result = await work();
    delay.disable();
    const seconds = (performance.now() - from) / 1_000;
    const used = (await serverSeconds(client)) - before;
    const late = delay.percentile(99) / 1e6 - RESOLUTION_MS;
    return { result, load: { loopP99Ms: Math.max(0, late), serverCpu: used / seconds } };
  };
}

/** Processor time of the server since it began. */
export async function serverSeconds(client: Redis): Promise<number> {
  const info = await client.info('cpu');
  const of = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1]);
  return of('used_cpu_user') + of('used_cpu_sys');
}
