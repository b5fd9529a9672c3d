import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { ControlRoom } from './control-room.js';
import type { Stage } from '../scenario/step.js';

/** A fleet of nobody: a button that is pressed finds nothing to kill. */
const stage = { fleet: { apps: [] } } as unknown as Stage;
const room = new ControlRoom(stage, 0);
let port = '';
beforeAll(async () => {
  await room.open();
  ({ port } = new URL(room.url));
});
afterAll(() => room.close());

function ask(
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; policy: unknown }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      response.destroy();
      resolve({ status: response.statusCode ?? 0, policy: response.headers['content-security-policy'] });
    });
    asked.once('error', reject);
    asked.end();
  });
}

const own = (): Record<string, string> => ({ host: `127.0.0.1:${port}` });

describe("the control room's server", () => {
  it('answers its own page, under either name', async () => {
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`]) {
      const page = await ask('GET', '/', { host });
      expect(page).toEqual({ status: 200, policy: expect.stringContaining("frame-ancestors 'none'") });
      const pressed = { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' };
      expect((await ask('POST', '/kill', pressed)).status).toBe(200);
    }
    expect((await ask('GET', '/', { ...own(), 'sec-fetch-site': 'none' })).status).toBe(200);
    expect((await ask('POST', '/kill', own())).status).toBe(200);
  });

  it.each<[string, Record<string, string>]>([
    ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['another origin, from a browser that says no more', { origin: 'https://evil.example' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' }],
    ['a file or a sandbox', { origin: 'null' }],
    ['a site that says no origin', { 'sec-fetch-site': 'cross-site' }],
  ])('refuses %s', async (_what, headers) => {
    for (const [method, path] of [
      ['POST', '/kill'],
      ['POST', '/orders'],
      ['POST', '/requests'],
      ['GET', '/events'],
      ['GET', '/'],
    ] as const) {
      expect((await ask(method, path, { ...own(), ...headers })).status).toBe(403);
    }
  });

  it.each([
    'evil.example',
    `evil.example:PORT`,
    '127.0.0.1',
    'localhost',
    '127.0.0.1:1',
    '[::1]:PORT',
    '127.0.0.1:PORT.evil.example',
  ])('refuses the host %s, whose name may have been made to point here', async (name) => {
    const host = name.replace('PORT', port);
    for (const [method, path] of [
      ['GET', '/events'],
      ['GET', '/'],
      ['POST', '/kill'],
    ] as const) {
      expect((await ask(method, path, { host, origin: `http://${host}` })).status).toBe(421);
    }
  });
});
