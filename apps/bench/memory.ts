/** The server's memory per thing that it keeps. */
import type { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { inFlight } from './raw-queue.js';

/** Bytes of data that each of so many calls left behind, on a server that is emptied before. */
export async function bytesPer(client: Redis, times: number, work: () => Promise<unknown>): Promise<number> {
  await client.flushall();
  await pause(100);
  const before = await dataBytes(client);
  await inFlight(times, 500, work);
  // What the sockets buffer counts as long as it is there.
  await pause(100);
  return ((await dataBytes(client)) - before) / times;
}

async function dataBytes(client: Redis): Promise<number> {
  return Number(/^used_memory_dataset:(\d+)/m.exec(await client.info('memory'))?.[1]);
}
