import { setTimeout as pause } from 'node:timers/promises';
import { serveJson, type JsonReply, type JsonRequest, type JsonServer } from './json-server.js';

interface Mail {
  id: string;
  to: string;
  text: string;
}

/** How long a mail takes. */
const SLOWNESS_MS = 20;

/** A mail provider that knows no address that begins with `nobody`. What it has seen is the truth about what was sent. */
export class MailProvider {
  /** By their ids: a mail that is sent again replaces itself. */
  readonly delivered = new Map<string, Mail>();
  /** The most letters that it was given at the same time. */
  most = 0;
  #atOnce = 0;
  #server: JsonServer | undefined;

  get url(): string {
    return this.#server?.url ?? '';
  }

  async open(): Promise<void> {
    this.#server = await serveJson((request) => this.#answer(request));
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }

  /** The mails to addresses that match. */
  to(address: RegExp): Mail[] {
    return [...this.delivered.values()].filter(({ to }) => address.test(to));
  }

  async #answer({ body, gone }: JsonRequest): Promise<JsonReply> {
    const mail = body as Mail;
    const letters = mail.to.startsWith('owner') ? 0 : 1;
    this.#atOnce += letters;
    this.most = Math.max(this.most, this.#atOnce);
    await pause(SLOWNESS_MS, undefined, { signal: gone }).catch(() => {});
    this.#atOnce -= letters;
    if (mail.to.startsWith('nobody')) return { status: 422, body: { error: 'no such address' } };
    this.delivered.set(mail.id, mail);
    return { status: 200, body: { id: mail.id } };
  }
}
