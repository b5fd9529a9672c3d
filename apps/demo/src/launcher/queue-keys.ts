import type { Redis } from 'ioredis';

/** How many orders are in the queue, waiting, running or put off, and how many are dead letters: read from Redis itself. */
export function queueOf(client: Redis, namespace: string): { left(): Promise<number>; dead(): Promise<number> } {
  const stream = `${namespace}:tasks`;
  return {
    left: async () => (await client.xlen(stream)) + (await client.zcard(`{${stream}}:~delayed`)),
    dead: () => client.xlen(`{${stream}}:~dead`),
  };
}
