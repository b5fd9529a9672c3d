import type { Redis } from 'ioredis';

/** How many of these keys are there. They may lie in several slots: one command each. */
export async function existing(admin: Redis, ...keys: string[]): Promise<number> {
  const found = await Promise.all(keys.map((key) => admin.exists(key)));
  return found.reduce((sum, each) => sum + each, 0);
}
