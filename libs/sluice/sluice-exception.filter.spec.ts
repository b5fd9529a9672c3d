import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AddressInfo } from 'node:net';
import {
  Controller,
  Get,
  Inject,
  NotFoundException,
  Param,
  type ArgumentsHost,
  type HttpException,
  type INestApplication,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { lastValueFrom, type Observable } from 'rxjs';
import { Test } from '@nestjs/testing';
import { SluiceTestingModule } from '../testing/index.js';
import { RedisUnavailableError } from '../redis/index.js';
import { SluiceError, type SluiceErrorCode } from '../weave/index.js';
import { RateLimit, RateLimitService, defineRateLimit, fromContext } from '../limit/index.js';
import { LockService, WithLock } from '../lock/index.js';
import { SluiceExceptionFilter } from './sluice-exception.filter.js';

const Login = defineRateLimit('login', { limit: 5, perMs: 60_000 });
const Paced = defineRateLimit('turns', { limit: 2, perMs: 60_000, mode: 'pace' });

@Controller()
class Shop {
  constructor(
    @Inject(LockService) private readonly locks: LockService,
    @Inject(RateLimitService) private readonly limits: RateLimitService,
  ) {}

  @Get('busy')
  @WithLock('till', { waitMs: 0 })
  async busy(): Promise<string> {
    return Promise.resolve('paid');
  }

  @Get('lost')
  @WithLock('other')
  async lost(): Promise<string> {
    await this.locks.forceRelease('other');
    return 'paid';
  }

  @Get('down')
  down(): never {
    throw new RedisUnavailableError("Redis connection 'default' (commands) is not connected", 'not-sent');
  }

  @Get('limited')
  @RateLimit(Login, { by: fromContext(() => 'someone') })
  async limited(): Promise<void> {
    await this.limits.take(Paced, 'all', { maxWaitMs: 0 });
    await this.limits.take(Paced, 'all', { maxWaitMs: 0 });
  }

  @Get('copy')
  copy(): never {
    // As the other module format's copy of the package makes it.
    const brand = { [Symbol.for('sluice:error')]: true, code: 'SLUICE_LOCK_TIMEOUT' };
    throw Object.assign(new Error('busy'), brand);
  }

  @Get('codes/:code')
  any(@Param('code') code: SluiceErrorCode): never {
    throw new SluiceError(code, "of lock 'till', held by 'host:1:2'");
  }

  @Get('missing')
  missing(): never {
    throw new NotFoundException();
  }
}

describe('SluiceExceptionFilter', () => {
  let app: INestApplication;
  let url: string;
  beforeEach(async () => {
    const module = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      controllers: [Shop],
      providers: [{ provide: APP_FILTER, useClass: SluiceExceptionFilter }],
    }).compile();
    app = module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    url = `http://127.0.0.1:${(app.getHttpServer() as { address(): AddressInfo }).address().port}`;
  });
  afterEach(() => app.close());

  it('tells when a rate limit has room again', async () => {
    const response = await fetch(`${url}/limited`);
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '30']);
    expect(await response.json()).toMatchObject({ code: 'SLUICE_RATE_LIMITED' });
  });

  const get = async (path: string): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${url}/${path}`);
    return { status: response.status, body: await response.json().catch(() => undefined) };
  };

  it('answers 409 for a busy lock, and tells the client nothing of who holds it', async () => {
    const lock = await app.get(LockService).acquire('till');
    const { status, body } = await get('busy');
    expect(status).toBe(409);
    expect(body).toEqual({
      statusCode: 409,
      error: 'Conflict',
      message: 'Busy with another request for the same resource, try again',
      code: 'SLUICE_LOCK_TIMEOUT',
    });
    await lock.release();
    expect((await get('busy')).status).toBe(200);
  });

  it.each([
    ['lost', 503, 'SLUICE_LOCK_LOST'],
    ['down', 503, 'SLUICE_REDIS_UNAVAILABLE'],
    ['copy', 409, 'SLUICE_LOCK_TIMEOUT'],
    ['missing', 404, undefined],
    ['codes/SLUICE_STALE_TOKEN', 503, 'SLUICE_STALE_TOKEN'],
    ['codes/SLUICE_REDIS_UNREACHABLE', 503, 'SLUICE_REDIS_UNREACHABLE'],
    ['codes/SLUICE_PUBLISH_UNCONFIRMED', 503, 'SLUICE_PUBLISH_UNCONFIRMED'],
    ['codes/SLUICE_QUEUE_CLOSED', 503, 'SLUICE_QUEUE_CLOSED'],
    ['codes/SLUICE_CACHE_LEASE_LOST', 503, 'SLUICE_CACHE_LEASE_LOST'],
    ['codes/SLUICE_CACHE_LOADER_TIMEOUT', 504, 'SLUICE_CACHE_LOADER_TIMEOUT'],
    ['codes/SLUICE_TASK_WAIT_TIMEOUT', 504, 'SLUICE_TASK_WAIT_TIMEOUT'],
    ['codes/SLUICE_QUEUE_PAYLOAD_TOO_LARGE', 413, 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE'],
    ['codes/SLUICE_QUEUE_INVALID_PAYLOAD', 400, 'SLUICE_QUEUE_INVALID_PAYLOAD'],
    ['codes/SLUICE_BAD_NAME', 400, 'SLUICE_BAD_NAME'],
    ['codes/SLUICE_BAD_OPTION', 500, 'SLUICE_BAD_OPTION'],
    ['codes/SLUICE_REDIS_REFUSED', 500, 'SLUICE_REDIS_REFUSED'],
    ['codes/SLUICE_OF_TOMORROW', 500, 'SLUICE_OF_TOMORROW'],
  ])('answers %s with %i', async (path, status, code) => {
    const answer = await get(path);
    expect(answer.status).toBe(status);
    expect((answer.body as { code?: string }).code).toBe(code);
    expect(JSON.stringify(answer.body)).not.toMatch(/till|host:1/);
  });
});

describe('SluiceExceptionFilter under other transports', () => {
  const busy = new SluiceError('SLUICE_LOCK_TIMEOUT', "of lock 'till', held by 'host:1:2'");
  const hostOf = (type: string): ArgumentsHost => {
    const host = new ExecutionContextHost([]);
    host.setType(type);
    return host;
  };
  const caught = (type: string): unknown => {
    try {
      return new SluiceExceptionFilter().catch(busy, hostOf(type));
    } catch (error) {
      return { thrown: error };
    }
  };

  it('returns the failure to an RPC caller, who would wait for ever for one that is thrown', async () => {
    const answer = caught('rpc') as Observable<never>;
    await expect(lastValueFrom(answer)).rejects.toEqual({
      status: 'error',
      code: 'SLUICE_LOCK_TIMEOUT',
      message: 'Busy with another request for the same resource, try again',
    });
  });

  it('tells a GraphQL client nothing of who holds the lock', () => {
    const { thrown } = caught('graphql') as { thrown: HttpException };
    expect(thrown.getStatus()).toBe(409);
    expect(thrown.message).not.toMatch(/till|host:1/);
    expect(thrown.getResponse()).toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    expect(thrown.cause).toBe(busy);
  });

  it.each(['ws', 'sluice'])('throws the very error again: %s', (type) => {
    expect(caught(type)).toEqual({ thrown: busy });
  });
});
