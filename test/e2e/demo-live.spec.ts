import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { Launcher } from '../support/launcher.js';
import { until } from '../support/until.js';

interface Live {
  saved: number;
  instances: { up: boolean }[];
}

async function push(url: string, button: string): Promise<string> {
  return (await fetch(`${url}/${button}`, { method: 'POST' })).text();
}

/** Reads the page's server-sent events, one at a time. */
async function live(url: string): Promise<(() => Promise<Live>) & { close: () => Promise<void> }> {
  const { body } = await fetch(`${url}/events`);
  if (!body) throw new Error('no events');
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const look = async (): Promise<Live> => {
    for (;;) {
      const end = text.indexOf('\n\n');
      if (end >= 0) {
        const event = text.slice('data: '.length, end);
        text = text.slice(end + 2);
        return JSON.parse(event) as Live;
      }
      const { value, done } = await reader.read();
      if (done) throw new Error('the events have ended');
      text += value;
    }
  };
  return Object.assign(look, { close: () => reader.cancel() });
}

describe('the demo that stays up', () => {
  let launcher: Launcher;
  let redis: RedisServer;

  /** One for all tests: it takes longer to start than each of them. */
  beforeAll(async () => {
    redis = await startRedis();
    launcher = new Launcher([], { SLUICE_REDIS_URL: redis.url });
    await launcher.page();
    await launcher.staysUp();
  });

  afterAll(async () => {
    launcher.signal('SIGKILL');
    await launcher.exit();
    await redis.stop();
  });

  it('shows itself live on a page, whose buttons do what they say', async () => {
    const url = await launcher.page();
    expect(await (await fetch(url)).text()).toContain('<h1>Sluice: the shop</h1>');

    const look = await live(url);
    try {
      const before = await look();
      expect(before.instances).toMatchObject([{ up: true }, { up: true }, { up: true }]);
      expect(await push(url, 'requests')).toMatch(/^category \d+: 100 of 100 answered/);
      await until(async () => (await look()).saved >= before.saved + 90, { what: 'the saved queries are shown' });
      expect(await push(url, 'orders')).toBe('1000 of 1000 orders accepted');
      expect(await push(url, 'kill')).toMatch(/got SIGKILL$/);
      await until(async () => (await look()).instances.some(({ up }) => !up), { what: 'an instance is shown as down' });
      await until(async () => (await look()).instances.every(({ up }) => up), {
        what: 'it is back',
      });
      expect((await fetch(`${url}/unknown`, { method: 'POST' })).status).toBe(404);
    } finally {
      await look.close();
    }
  });

  it('validates an order, accepts it, and tells where it is', async () => {
    await launcher.page();
    const url = /app-1 +(\S+)/.exec(launcher.stdout)?.[1] ?? '';
    const order = async (body: object): Promise<Response> =>
      fetch(`${url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await order({ productId: 1, customerId: 1, quantity: 0, card: 'good' })).status).toBe(400);

    const outcomes = { completed: { productId: 1, card: 'good' }, dead: { productId: 999_999, card: 'good' } };
    for (const [state, what] of Object.entries(outcomes)) {
      const accepted = await order({ customerId: 1, quantity: 2, ...what });
      expect(accepted.status).toBe(202);
      const status = `${url}${accepted.headers.get('location') ?? ''}`;
      await until(async () => ((await (await fetch(status)).json()) as { state: string }).state === state, {
        what: `the order is ${state}`,
      });
    }
    expect((await fetch(`${url}/orders/1-1`)).status).toBe(404);

    const price = async (): Promise<number> =>
      ((await (await fetch(`${url}/products/7`)).json()) as { priceCents: number }).priceCents;
    await price();
    await fetch(`${url}/products/7`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ priceCents: 4_711 }),
    });
    expect(await price()).toBe(4_711);
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: 'ok' });
    expect((await fetch(`${url}/docs`)).status).toBe(200);
  });

  it('leaves no process behind when it is killed', async () => {
    const pids = await launcher.pids();
    launcher.signal('SIGKILL');
    expect(await launcher.exit()).toBeNull();
    await launcher.gone(pids);
  });
});
