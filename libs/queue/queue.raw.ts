import { checkName, isReplyError, type Clock, type Keyspace, type Link, type RedisConnection } from '../redis/index.js';
import { SluiceError, badOption, checkText } from '../weave/index.js';
import { BlockingReads } from './blocking-reads.js';
import { PayloadTooLargeError } from './queue.errors.js';
import { queueKeys } from './store/queue.keys.js';
import { rawRetryScript } from './store/scripts/raw-retry.script.js';
import { batches, fieldsOf } from './store/stream-reply.js';

/** A stream entry as it is in Redis, without any parsing. */
export interface RawEntry {
  readonly id: string;
  /** The fields by name: `payload`, `timestamp`, `retry_count`, and any others. */
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * The plain protocol under the queues, for producers and consumers with a loop of their own: plain stream entries, as redis-cli
 * and clients in other languages use them. It has no leases, no recovery and no automatic dead letters.
 *
 * Names are names of queues: the namespace is put before them. Create groups with `XGROUP CREATE <stream> <group> 0
 * MKSTREAM`. If Redis refuses a command (`NOGROUP`, `WRONGTYPE`), the call rejects with ioredis' own error.
 */
export class RawQueue {
  readonly #keyspace: Keyspace;
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #reads: BlockingReads;
  readonly #maxPayloadBytes: number;

  constructor(connection: RedisConnection, keyspace: Keyspace, clock: Clock, maxPayloadBytes: number) {
    this.#maxPayloadBytes = maxPayloadBytes;
    this.#keyspace = keyspace;
    this.#clock = clock;
    this.#link = connection.commands;
    this.#reads = new BlockingReads(connection, clock);
  }

  /**
   * Adds one entry with the fields `payload`, `timestamp` (unix seconds) and `retry_count`; resolves with its id.
   *
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_QUEUE_PAYLOAD_TOO_LARGE` (more than
   * `queue.maxPayloadBytes`), `SLUICE_REDIS_UNAVAILABLE`
   */
  async publish(stream: string, payload: string | Buffer, retryCount = 0): Promise<string> {
    checkPayload('publish', payload, this.#maxPayloadBytes);
    checkCount('publish', 'retryCount', retryCount);
    const seconds = Math.floor(this.#clock.wallMs() / 1_000);
    const fields = ['payload', payload, 'timestamp', seconds, 'retry_count', retryCount];
    return this.#link.send<string>('xadd', [this.#key(stream), '*', ...fields]);
  }

  /**
   * Reads up to `count` new entries for `consumer`; they are pending with it until they are acknowledged.
   *
   * With `blockMs`, the read waits that long for the first entry, on a socket of its own; 0 does not wait. If no entry came, it
   * resolves to an empty list. When the app stops, reads that wait end at once with an empty list, and later reads reject with
   * `SLUICE_QUEUE_CLOSED`. A user of Redis without the right to CLIENT UNBLOCK waits longer: after 2 s the socket is closed, and the
   * read rejects with `SLUICE_REDIS_UNAVAILABLE`.
   */
  async consume(group: string, consumer: string, stream: string, count = 1, blockMs = 0): Promise<RawEntry[]> {
    checkText(group, 'queue.raw.consume: group');
    checkText(consumer, 'queue.raw.consume: consumer');
    checkCount('consume', 'count', count, 1);
    checkCount('consume', 'blockMs', blockMs);
    const key = this.#key(stream);
    const head = ['GROUP', group, consumer];
    const tail = ['COUNT', count, 'STREAMS', key, '>'];
    const reply =
      blockMs === 0
        ? await this.#link.send('xreadgroup', [...head, ...tail])
        : await this.#reads.read('xreadgroup', [...head, 'BLOCK', blockMs, ...tail], blockMs);
    return batches(reply).flatMap(([, entries]) => entries.map(([id, flat]) => ({ id, fields: fieldsOf(flat) })));
  }

  /** Acknowledges one entry. Resolves to 1, or to 0 if the entry was not pending. The entry stays in the stream. */
  async ack(stream: string, group: string, id: string): Promise<number> {
    checkText(group, 'queue.raw.ack: group');
    checkText(id, 'queue.raw.ack: id');
    return this.#link.send<number>('xack', [this.#key(stream), group, id]);
  }

  /**
   * Publishes an entry's payload again, with `retry_count` one higher and `original_id`: to `retryStream` while
   * `retryCount + 1 < maxRetries`, else to `deadLetterStream`. Resolves with `'OK'`.
   *
   * **Give the group**: then the original is acknowledged in the same step. A repeated call, or a call after another consumer has
   * settled the entry, adds nothing and resolves with null. Without the group, the original stays pending and is delivered again,
   * so its copies multiply.
   *
   * On a server in cluster mode, the three streams must share a hash tag: `{orders}`, `{orders}:retry`, `{orders}:dead`.
   *
   * @throws SluiceError `SLUICE_BAD_NAME` if the server refuses the streams because they are in several slots
   */
  async retry(
    stream: string,
    id: string,
    payload: string | Buffer,
    retryCount: number,
    retryStream: string,
    deadLetterStream: string,
    maxRetries: number,
    { group }: { group?: string } = {},
  ): Promise<'OK' | null> {
    if (group !== undefined) checkText(group, 'queue.raw.retry: group');
    checkText(id, 'queue.raw.retry: id');
    checkPayload('retry', payload, this.#maxPayloadBytes);
    checkCount('retry', 'retryCount', retryCount);
    checkCount('retry', 'maxRetries', maxRetries);
    const keys = {
      stream: this.#key(stream),
      retryStream: this.#key(retryStream),
      deadLetterStream: this.#key(deadLetterStream),
    };
    const args = { id, payload, retryCount, maxRetries, group: group ?? '' };
    try {
      return await rawRetryScript.run(this.#link, { keys, args });
    } catch (error) {
      if (!isReplyError(error, 'CROSSSLOT')) throw error;
      const shared = `{${stream.replace(/[{}]/g, '')}}`;
      throw new SluiceError(
        'SLUICE_BAD_NAME',
        `queue.raw.retry: '${stream}', '${retryStream}' and '${deadLetterStream}' are in several slots, and the server is in ` +
          `cluster mode. Give them one hash tag: '${shared}', '${shared}:retry', '${shared}:dead'`,
        { cause: error },
      );
    }
  }

  /** Ends the reads that wait. */
  close(): Promise<void> {
    return this.#reads.close();
  }

  #key(stream: string): string {
    return queueKeys(this.#keyspace, checkName('queue', stream)).stream;
  }
}

function checkPayload(method: string, value: unknown, maxBytes: number): void {
  if (typeof value !== 'string' && !Buffer.isBuffer(value)) {
    throw badOption(`queue.raw.${method}: payload`, 'text or a Buffer (raw entries are not encoded)', value);
  }
  const bytes = Buffer.byteLength(value);
  if (bytes > maxBytes) throw new PayloadTooLargeError('payload', bytes, maxBytes);
}

function checkCount(method: string, name: string, value: unknown, min = 0): void {
  if (!Number.isSafeInteger(value) || (value as number) < min) {
    throw badOption(`queue.raw.${method}: ${name}`, `a whole number ≥ ${min}`, value);
  }
}
