import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CATEGORIES } from './seed.js';
import type { Stage } from '../scenario/step.js';
import { placeOrders } from '../scenario/place-orders.js';
import { PAGE } from './page.js';
import { get } from './requests.js';
import type { Card } from './gateway.js';
import { Watch } from './watch.js';

const REFRESH_MS = 500;
const BURST = 100;
const ORDERS = 1_000;
const CARDS: Card[] = ['good', 'good', 'good', 'good', 'good', 'good', 'good', 'good', 'fails-once', 'fails-always'];

/** The page has its script and its styles in itself, asks only its own server, and stands in nobody's frame. */
const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";

/** The page on which the fleet is seen at work, and its buttons. */
export class ControlRoom {
  readonly #stage: Stage;
  readonly #port: number;
  readonly #watch: Watch;
  readonly #viewers = new Set<ServerResponse>();
  readonly #server: Server;
  #refresh: NodeJS.Timeout | undefined;
  #category = 0;

  constructor(stage: Stage, port: number) {
    this.#stage = stage;
    this.#port = port;
    this.#watch = new Watch(stage);
    this.#server = createServer((request, response) => {
      const refusal = this.#refusalOf(request);
      if (refusal !== undefined) {
        response.writeHead(refusal).end();
        return;
      }
      response.setHeader('content-security-policy', POLICY);
      response.setHeader('x-content-type-options', 'nosniff');
      const route = `${request.method ?? ''} ${request.url ?? ''}`;
      if (route === 'GET /') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE);
      else if (route === 'GET /events') this.#follow(response);
      else void this.#act(route, response);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async open(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    clearTimeout(this.#refresh);
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  /**
   * The page is for its own user alone. Any page of the web can send a POST here from the user's browser, and one whose name is
   * made to point at this machine can read the answers as well: browsers tell both by these headers.
   */
  #refusalOf({ headers }: IncomingMessage): number | undefined {
    const { port } = this.#server.address() as AddressInfo;
    const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
    if (!hosts.includes(headers.host ?? '')) return 421;
    const site = headers['sec-fetch-site'];
    // `none`: typed by the user.
    if (site !== undefined && site !== 'same-origin' && site !== 'none') return 403;
    if (headers.origin !== undefined && headers.origin !== `http://${headers.host ?? ''}`) return 403;
    return undefined;
  }

  /** Server-sent events: one snapshot after the other, as long as somebody looks. */
  #follow(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#viewers.add(response);
    response.once('close', () => this.#viewers.delete(response));
    if (this.#viewers.size === 1) void this.#show();
  }

  async #show(): Promise<void> {
    const snapshot = await this.#watch.look().catch((error: unknown) => ({ error: String(error) }));
    for (const viewer of this.#viewers) viewer.write(`data: ${JSON.stringify(snapshot)}\n\n`);
    if (this.#viewers.size > 0) this.#refresh = setTimeout(() => void this.#show(), REFRESH_MS);
  }

  async #act(route: string, response: ServerResponse): Promise<void> {
    try {
      const said = await this.#do(route);
      if (said === undefined) response.writeHead(404).end();
      else response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end(said);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  }

  async #do(route: string): Promise<string | undefined> {
    switch (route) {
      case 'POST /requests':
        return this.#ask();
      case 'POST /orders':
        return this.#order();
      case 'POST /kill':
        return this.#kill();
      default:
        return undefined;
    }
  }

  async #ask(): Promise<string> {
    const { fleet } = this.#stage;
    this.#category = 1 + (this.#category % CATEGORIES);
    const started = performance.now();
    const replies = await Promise.all(
      Array.from({ length: BURST }, (_, turn) => get(`${fleet.url(turn)}/categories/${this.#category}/bestsellers`)),
    );
    const answered = replies.filter(({ status }) => status === 200).length;
    return `category ${this.#category}: ${answered} of ${BURST} answered in ${Math.round(performance.now() - started)} ms`;
  }

  async #order(): Promise<string> {
    const cards = Array.from({ length: ORDERS }, (_, turn) => CARDS[turn % CARDS.length] ?? 'good');
    const ids = await placeOrders(this.#stage.fleet, cards);
    return `${ids.length} of ${ORDERS} orders accepted`;
  }

  /** As `kill -9` from outside: the fleet starts it again. */
  async #kill(): Promise<string> {
    const { apps } = this.#stage.fleet;
    const victim = apps[Math.floor(Math.random() * apps.length)];
    if (!victim || victim.pid === 0) return 'nobody to kill';
    process.kill(victim.pid, 'SIGKILL');
    return Promise.resolve(`${victim.name}, pid ${victim.pid}, got SIGKILL`);
  }
}
