import { expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis } from 'nestjs-sluice/testing';
import { callsDuring } from './monitor.js';

it('counts what clients send, and besides what scripts call, but for what is ignored', async () => {
  const redis = await startRedis();
  const client = new Redis(redis.url);
  try {
    await client.ping();
    const calls = await callsDuring(redis.port, 'xlen', async () => {
      await client.set('key', 'with "quotes"\r\nand [0 lua] lines');
      await client.eval("redis.call('GET', 'key') return redis.call('XLEN', 'none')", 0);
      await client.xlen('none');
    });
    expect(calls).toEqual({ all: 3, sent: 2 });
  } finally {
    client.disconnect();
    await redis.stop();
  }
});
