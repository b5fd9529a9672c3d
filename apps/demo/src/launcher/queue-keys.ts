import type { Redis } from 'ioredis';

/** The lengths of the orders' queue and of its dead letters, read from Redis itself. */
export function queueOf(client: Redis, namespace: string): { left(): Promise<number>; dead(): Promise<number> } {
  const stream = `${namespace}:tasks`;
  return {
    left: () => client.xlen(stream),
    dead: () => client.xlen(`{${stream}}:~dead`),
  };
}
