import { Command, type Redis } from 'ioredis';
import { unframe } from 'nestjs-sluice/redis';

export interface CommandDelta<T> {
  /** What `fn` returned. */
  result: T;
  /** Calls per command while `fn` ran, inner calls of scripts included: `{ set: 2, 'config|get': 1 }`. Zeroes are left out. */
  calls: Record<string, number>;
  /** Microseconds that the server spent in each command. */
  usec: Record<string, number>;
  /** The sum of `calls`. */
  total: number;
}

interface Stat {
  calls: number;
  usec: number;
}

/** What an app publishes to itself once a second, and more often while a local tier holds copies: the commands of one proof. */
const OF_A_PROOF = { plain: ['publish'], counted: ['evalsha', 'get', 'publish'] };

/**
 * What `INFO commandstats` of the whole server grew by while `fn` ran, without the two INFO of its own, without PING, and
 * without the proofs of inboxes: open connections send those whatever happens, so they may fall into any measurement.
 * Everything else that the server does meanwhile is counted: let nothing else run.
 */
export async function commandDelta<T>(client: Redis, fn: () => T | Promise<T>): Promise<CommandDelta<T>> {
  const proofs: string[] = [];
  // By protocol 3 it hears of the proofs in order with the answers to INFO.
  const meter = client.duplicate({ protocol: 3 });
  meter.on('pmessageBuffer', (_pattern: unknown, _channel: unknown, message: Buffer) => {
    const parts = unframe(message) ?? [];
    // The kind, the number of the proof, and perhaps the counter.
    if (parts[0] === 'redis:proof') proofs.push(...(parts.length === 2 ? OF_A_PROOF.plain : OF_A_PROOF.counted));
  });
  await meter.psubscribe('*~inbox:*');
  const before = await commandStats(meter, () => proofs.splice(0));
  const result = await fn();
  let sent: string[] = [];
  const after = await commandStats(meter, () => (sent = [...proofs]));
  meter.disconnect();
  for (const command of sent) count(after, command, -1);
  // The first INFO was counted after it had answered, the second one is not counted yet.
  count(after, 'info', -1);
  after.delete('ping');

  const delta: CommandDelta<T> = { result, calls: {}, usec: {}, total: 0 };
  for (const [command, now] of after) {
    const was = before.get(command) ?? { calls: 0, usec: 0 };
    const calls = now.calls - was.calls;
    if (calls === 0) continue;
    delta.calls[command] = calls;
    delta.usec[command] = now.usec - was.usec;
    delta.total += calls;
  }
  return delta;
}

function count(stats: Map<string, Stat>, command: string, calls: number): void {
  const stat = stats.get(command);
  if (stat) stat.calls += calls;
}

/** @param answered called when the answer is read, before anything that the server sent after it */
async function commandStats(client: Redis, answered: () => void): Promise<Map<string, Stat>> {
  const info = new Command('info', ['commandstats'], { replyEncoding: 'utf8' });
  const { resolve } = info;
  info.resolve = (reply) => {
    answered();
    resolve(reply);
  };
  const lines = String(await client.sendCommand(info)).matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm);
  return new Map(
    [...lines].map(([, command, calls, usec]) => [command!, { calls: Number(calls), usec: Number(usec) }]),
  );
}
