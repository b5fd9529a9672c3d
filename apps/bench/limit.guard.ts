/** Requests per second of a Nest route, bare and behind a rate limiter. */
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { forkApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import type { RouteKind } from './limit.server.js';
import { inFlight } from './raw-queue.js';

const CONNECTIONS = 50;

export async function guard({ redis, quick }: BenchContext): Promise<Contenders> {
  const requests = quick ? 1_000 : 10_000;
  const server = await forkApp(new URL('limit.server.js', import.meta.url), { env: { REDIS_URL: redis.url } });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const perSecond = async (kind: RouteKind): Promise<Measure> => {
    const url = await server.call<string>('listen', kind);
    const request = async (): Promise<void> => {
      const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage];
      if (response.statusCode !== 200) throw new Error(`${kind} answered ${response.statusCode ?? 0}`);
      response.resume();
      await once(response, 'end');
    };
    return async () => {
      const from = performance.now();
      await inFlight(requests, CONNECTIONS, request);
      return (requests / (performance.now() - from)) * 1_000;
    };
  };
  return {
    sluice: await perSecond('sluice'),
    raw: await perSecond('bare'),
    peers: { '@nestjs/throttler': await perSecond('@nestjs/throttler') },
    close: async () => {
      agent.destroy();
      await server.kill();
    },
  };
}
