/** What one would write by hand: a stream with a consumer group, entries deleted once they are done. */
import { Redis } from 'ioredis';

/** Twenty bytes or so, as small tasks have. */
export const PAYLOAD = { order: 12_345, of: 'ab' };

const BATCH = 500;
const GROUP = 'raw';

type Batch = [stream: string, entries: [id: string, fields: string[]][]][];

export class RawQueue {
  readonly client: Redis;
  readonly stream: string;

  constructor(url: string, stream: string, { enableAutoPipelining = false } = {}) {
    // RESP3 would lay the reply of XREADGROUP flat.
    this.client = new Redis(url, { protocol: 2, enableAutoPipelining });
    this.stream = stream;
  }

  /** The fields of a Sluice task. */
  publish(payload: object = PAYLOAD): Promise<unknown> {
    const seconds = Math.floor(Date.now() / 1_000);
    const fields = ['payload', JSON.stringify(payload), 'timestamp', seconds, 'retry_count', 0, 'meta', ''];
    return this.client.xadd(this.stream, '*', ...fields);
  }

  async createGroup(): Promise<void> {
    await this.client.xgroup('CREATE', this.stream, GROUP, '0', 'MKSTREAM').catch(() => {});
  }

  /** Reads 500, runs the handler of each, acknowledges and deletes them, until nothing is left. */
  async consumeAll(handle: (payload: unknown) => Promise<void>): Promise<void> {
    const { client, stream } = this;
    await this.createGroup();
    for (;;) {
      const reply = await client.xreadgroup('GROUP', GROUP, 'me', 'COUNT', BATCH, 'STREAMS', stream, '>');
      const entries = (reply as Batch | null)?.[0]?.[1];
      if (!entries) return;
      await Promise.all(entries.map(([, [, payload]]) => handle(JSON.parse(payload ?? ''))));
      const ids = entries.map(([id]) => id);
      await Promise.all([client.xack(stream, GROUP, ...ids), client.xdel(stream, ...ids)]);
    }
  }

  close(): void {
    this.client.disconnect();
  }
}

/** Runs `work` so often, with so many of it in flight at any time. */
export async function inFlight(times: number, width: number, work: () => Promise<unknown>): Promise<void> {
  let started = 0;
  const lane = async (): Promise<void> => {
    while (started < times) {
      started++;
      await work();
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}
