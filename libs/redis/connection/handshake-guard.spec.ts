import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { RedisConnections } from './connections.js';
import { HandshakeGuard } from './handshake-guard.js';

/** For how long a server may be silent at the first, second, third, and any further attempt in a row. */
const SILENCE_MS = [2_500, 5_000, 10_000, 10_000];

/** What a server without RESP 3 says to `HELLO 3`. */
const NO_HELLO = '-ERR unknown command `HELLO`, with args beginning with: `3`\r\n';

let server: Server;
let sockets: Socket[];
/** What the server says to what it has got. */
let answer: (got: string) => string;
beforeEach(async () => {
  sockets = [];
  answer = () => '';
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => socket.write(answer(bytes.toString())));
  }).listen(0, '127.0.0.1');
  await until(() => server.listening, { what: 'it listens' });
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

const port = (): number => (server.address() as AddressInfo).port;

describe('a server that takes the connection', () => {
  it.each([
    ['never greets', ''],
    ['answers the first question alone', NO_HELLO],
  ])('and %s is left by every socket, to try again', async (_name, said) => {
    answer = (got) => (got.includes('hello') ? said : '');
    const app = await new RedisConnections({ redis: { host: '127.0.0.1', port: port(), required: false } }).open();
    const connection = app.get();
    try {
      const blocking = connection.openLink('blocking');
      await until(() => sockets.length >= 6, { what: 'commands, subscriber and reads are connected twice' });
      for (const { lastError } of [connection.commands, blocking])
        expect(lastError?.message).toBe('the socket was silent for 2500 ms during the handshake');
    } finally {
      await app.onApplicationShutdown();
    }
  });

  it('and is slow gets more time at each attempt, until it was ready once', async () => {
    const clock = new ManualClock();
    const client = new Redis({ host: '127.0.0.1', port: port(), retryStrategy: () => 1 });
    const errors: string[] = [];
    client.on('error', ({ message }) => errors.push(message));
    const guard = new HandshakeGuard(client, clock);
    for (const ms of SILENCE_MS) {
      const before = errors.length;
      await until(() => clock.timers === 1, { what: 'it is watched' });
      await clock.pass(ms - 1);
      expect(errors.length).toBe(before);
      await clock.pass(1);
      await until(() => errors.length > before, { what: 'it was left' });
      expect(errors.at(-1)).toContain(`silent for ${ms} ms`);
    }
    await until(() => client.status === 'connect' && clock.timers === 1, { what: 'it is watched again' });
    // Ready, as the server would say it.
    client.emit('ready');
    expect(clock.timers).toBe(0);
    client.disconnect(true);
    await until(() => clock.timers === 1, { what: 'it is watched on its next socket' });
    await clock.pass(SILENCE_MS[0]!);
    await until(() => errors.at(-1)?.includes('silent for 2500 ms') === true, { what: 'it was left' });
    guard.stop();
    expect(clock.timers).toBe(0);
    client.disconnect();
  });

  it('and loads its data is not left, and is asked often whether it is ready', async () => {
    let asked = 0;
    answer = (got) => {
      if (got.includes('hello')) return NO_HELLO + '+OK\r\n'.repeat(3);
      if (!got.includes('info')) return '+OK\r\n'.repeat(got.match(/\*\d/g)?.length ?? 0);
      const info = ++asked < 10 ? 'loading:1\r\nloading_eta_seconds:60\r\n' : 'loading:0\r\n';
      return `$${info.length}\r\n${info}\r\n`;
    };
    const app = new RedisConnections({ redis: { host: '127.0.0.1', port: port(), required: false } });
    const link = app.get().openLink('alone');
    const from = performance.now();
    await until(() => link.up, { what: 'it is ready' });
    expect(performance.now() - from).toBeGreaterThan(SILENCE_MS[0]!);
    expect([asked, sockets.length]).toEqual([10, 1]);
    await app.onApplicationShutdown();
  });
});
