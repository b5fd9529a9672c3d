import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';

const run = promisify(execFile);

/** Somebody at a terminal: sends one command, answers what `redis-cli` prints, as lines of raw text. */
export type RedisCli = (...args: string[]) => Promise<string>;

/** `redis-cli` where the server's binary is or on the PATH; where there is none, a plain client that prints as it does. */
export async function redisCli(url: string): Promise<RedisCli> {
  const beside = join(dirname(process.env['SLUICE_REDIS_SERVER'] ?? ''), 'redis-cli');
  const binary = existsSync(beside) ? beside : 'redis-cli';
  const { hostname, port } = new URL(url);
  const cli: RedisCli = async (...args) => (await run(binary, ['-h', hostname, '-p', port, ...args])).stdout.trim();
  const there = await cli('PING').catch(() => 'none');
  return there === 'PONG' ? cli : (command = '', ...args) => printed(url, command, args);
}

async function printed(url: string, command: string, args: string[]): Promise<string> {
  const client = new Redis(url);
  try {
    // Outside of a terminal redis-cli prints nil as an empty line.
    const reply = (await client.call(command, ...args)) as string | number | null;
    return reply === null ? '' : String(reply);
  } finally {
    client.disconnect();
  }
}
