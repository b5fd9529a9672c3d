import { beforeEach } from '@jest/globals';
import { ScriptBed } from './script-bed.js';

/** The consumer group of the bed. */
export const GROUP = 'sluice';

/** The fields of an entry, as a publish writes them. */
export function task(payload = '{"n":1}', retryCount = '0', meta = ''): string[] {
  return ['payload', payload, 'timestamp', '1700000000', 'retry_count', retryCount, 'meta', meta];
}

/** One stream with a group, on a server of one spec file, for scripts that are run by themselves. */
export class QueueScriptBed extends ScriptBed {
  readonly #stream: string;

  /** To be made at the top of a spec file: brings its hooks along. */
  constructor(stream: string) {
    super();
    this.#stream = stream;
    beforeEach(() => this.admin.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM'));
  }

  /** Adds one task and hands it to `consumer`, `deliveries` times. */
  readonly pendingTask = async (consumer: string, { deliveries = 1, fields = task() } = {}): Promise<string> => {
    const id = (await this.admin.xadd(this.#stream, '*', ...fields))!;
    await this.admin.xreadgroup('GROUP', GROUP, consumer, 'COUNT', 1, 'STREAMS', this.#stream, '>');
    if (deliveries > 1) {
      await this.admin.call('XCLAIM', this.#stream, GROUP, consumer, 0, id, 'RETRYCOUNT', deliveries, 'JUSTID');
    }
    return id;
  };

  /** Who has what, how often delivered. */
  readonly pending = async (): Promise<Record<string, [consumer: string, deliveries: number]>> => {
    const rows = await this.admin.xpending(this.#stream, GROUP, '-', '+', 1_000);
    return Object.fromEntries(
      (rows as [string, string, number, number][]).map(([id, consumer, , deliveries]) => [id, [consumer, deliveries]]),
    );
  };

  readonly consumers = async (): Promise<string[]> => {
    const rows = (await this.admin.xinfo('CONSUMERS', this.#stream, GROUP)) as string[][];
    return rows.map((row) => row[1]!);
  };

  /** What a stream holds, oldest first, by field. */
  readonly entries = async (key: string): Promise<Record<string, string>[]> => {
    const rows = await this.admin.xrange(key, '-', '+');
    return rows.map(([id, fields]) => ({
      id,
      ...Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1]]] : []))),
    }));
  };
}
