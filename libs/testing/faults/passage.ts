import { Transform, type TransformCallback } from 'node:stream';

/** One direction of a connection through a proxy. */
export class Passage extends Transform {
  /** What arrives is thrown away. */
  deaf = false;
  /** What arrives waits for {@link release}. */
  holding = false;
  /** Each byte is written alone. */
  bytewise = false;
  latencyMs = 0;
  readonly #held: Buffer[] = [];
  /** What is on its way, in order. */
  readonly #queue: { readonly dueMs: number; readonly bytes: Buffer }[] = [];
  readonly #onBytes: (bytes: Buffer) => void;
  #next: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #ended: TransformCallback | undefined;

  /** @param onBytes sees what arrives, before it goes on */
  constructor(onBytes: (bytes: Buffer) => void) {
    super();
    this.#onBytes = onBytes;
  }

  /** What waits for {@link release}. */
  get held(): Buffer {
    return Buffer.concat(this.#held);
  }

  release(): void {
    this.holding = false;
    for (const bytes of this.#held.splice(0)) this.#forward(bytes);
  }

  /** What is on its way never arrives. */
  halt(): void {
    clearTimeout(this.#next as NodeJS.Timeout);
    clearImmediate(this.#next as NodeJS.Immediate);
    this.#queue.length = 0;
  }

  override _transform(bytes: Buffer, _encoding: BufferEncoding, passed: TransformCallback): void {
    this.#onBytes(bytes);
    if (this.holding && !this.deaf) this.#held.push(bytes);
    else if (!this.deaf) this.#forward(bytes);
    passed();
  }

  override _flush(ended: TransformCallback): void {
    if (this.#queue.length === 0) ended();
    else this.#ended = ended;
  }

  override _destroy(error: Error | null, destroyed: (error?: Error | null) => void): void {
    this.halt();
    destroyed(error);
  }

  #forward(bytes: Buffer): void {
    if (this.latencyMs === 0 && !this.bytewise && this.#queue.length === 0) {
      this.push(bytes);
      return;
    }
    const dueMs = performance.now() + this.latencyMs;
    const parts = this.bytewise ? Array.from(bytes, (byte) => Buffer.from([byte])) : [bytes];
    for (const part of parts) this.#queue.push({ dueMs, bytes: part });
    if (this.#next === undefined) this.#plan();
  }

  #plan(): void {
    const [first] = this.#queue;
    const waitMs = first ? first.dueMs - performance.now() : 0;
    if (!first) {
      this.#next = undefined;
      this.#ended?.();
    } else {
      this.#next = waitMs > 0 ? setTimeout(this.#arrive, waitMs) : setImmediate(this.#arrive);
    }
  }

  readonly #arrive = (): void => {
    const first = this.#queue.shift();
    if (first) this.push(first.bytes);
    this.#plan();
  };
}
