import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';

/** Sends one command and answers what came back, as JSON would show it. */
export type RedisCli = (...args: string[]) => Promise<unknown>;

/**
 * A client that is not ours: `redis-cli`, as it lies beside the server's binary or on the PATH; where there is none, a
 * plain ioredis client that only passes words on.
 */
export function redisCli(port: number): RedisCli {
  const binary = cliBinary();
  if (binary === undefined) return (...args) => bare(port, args);
  return async (...args) => {
    const { stdout } = await promisify(execFile)(binary, ['-p', String(port), '--json', ...args]);
    return JSON.parse(stdout) as unknown;
  };
}

async function bare(port: number, [command = '', ...args]: string[]): Promise<unknown> {
  const client = new Redis({ port, protocol: 3, replyMapping: 'legacy' });
  try {
    return await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
}

function cliBinary(): string | undefined {
  const server = process.env['SLUICE_REDIS_SERVER'];
  const dirs = [...(server === undefined ? [] : [dirname(server)]), ...(process.env['PATH'] ?? '').split(':')];
  return dirs.map((dir) => join(dir, 'redis-cli')).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
