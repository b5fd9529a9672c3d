import { channel } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { SluiceTestingModule } from '../testing/index.js';
import {
  CACHE_CHANNELS,
  LOCK_CHANNELS,
  LockService,
  QUEUE_CHANNELS,
  REDIS_CHANNELS,
  subscribeSluice,
} from './index.js';

describe('subscribeSluice', () => {
  let app: TestingModule | undefined;
  afterEach(() => app?.close());

  it('hears until it is told to stop', async () => {
    app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
    const locks = app.get(LockService);
    const heard: unknown[] = [];
    const stop = subscribeSluice('sluice:lock:released', ({ name }, channel) => heard.push([channel, name]));
    await locks.withLock('a', () => {});
    stop();
    stop();
    await locks.withLock('b', () => {});
    expect(heard).toEqual([['sluice:lock:released', 'a']]);
  });

  it('knows every channel that there is', () => {
    const names = [LOCK_CHANNELS, CACHE_CHANNELS, QUEUE_CHANNELS, REDIS_CHANNELS].flatMap((each) =>
      Object.values(each),
    );
    for (const name of names) {
      const stop = subscribeSluice(name, () => {});
      expect(channel(name).hasSubscribers).toBe(true);
      stop();
      expect(channel(name).hasSubscribers).toBe(false);
    }
  });
});
