import type { Redis } from 'ioredis';

/** What went with the acknowledgements of orders, and of their packing: read from Redis itself. */
export async function notedOf(client: Redis, namespace: string): Promise<{ counted: number; packed: number }> {
  const beside = `{${namespace}:tasks}`;
  const sold = await client.hvals(`${beside}:sold`);
  return {
    counted: sold.reduce((sum, each) => sum + Number(each), 0),
    packed: await client.scard(`${beside}:packed`),
  };
}

/** How many orders are in the queue, waiting, running or put off, and how many are dead letters: read from Redis itself. */
export function queueOf(client: Redis, namespace: string): { left(): Promise<number>; dead(): Promise<number> } {
  const stream = `${namespace}:tasks`;
  return {
    left: async () => (await client.xlen(stream)) + (await client.zcard(`{${stream}}:~delayed`)),
    dead: () => client.xlen(`{${stream}}:~dead`),
  };
}
