import { describe, expect, it } from '@jest/globals';
import { readOptions } from './options.js';

const url = 'redis://somewhere:6379';

describe('readOptions', () => {
  it('stays up, talks to people and starts a private Redis unless told otherwise', () => {
    expect(readOptions([], {})).toEqual({ once: false, json: false, redis: { kind: 'private' }, port: 0 });
    expect(readOptions(['--once', '--json'], {})).toMatchObject({ once: true, json: true });
  });

  it('borrows the Redis that is named, but not an empty name', () => {
    expect(readOptions([], { SLUICE_REDIS_URL: url }).redis).toEqual({ kind: 'borrowed', url });
    expect(readOptions([], { SLUICE_REDIS_URL: '' }).redis).toEqual({ kind: 'private' });
  });

  it('runs on the embedded one when asked to, whatever is named', () => {
    expect(readOptions(['--redis=embedded'], { SLUICE_REDIS_URL: url }).redis).toEqual({ kind: 'embedded' });
    expect(readOptions([], { SLUICE_REDIS_EMBEDDED: '1', SLUICE_REDIS_URL: url }).redis).toEqual({ kind: 'embedded' });
  });

  it('borrows the Postgres that is named, but not an empty name', () => {
    expect(readOptions([], { DATABASE_URL: 'postgres://somewhere/shop' }).databaseUrl).toBe(
      'postgres://somewhere/shop',
    );
    expect(readOptions([], { DATABASE_URL: '' }).databaseUrl).toBeUndefined();
  });

  it('serves the page on the port that is asked for', () => {
    expect(readOptions(['--port=3000'], {}).port).toBe(3_000);
  });

  it('refuses what it does not know', () => {
    expect(() => readOptions(['--onec'], {})).toThrow("Unknown option '--onec'");
    expect(() => readOptions(['--redis=mine'], {})).toThrow("only 'embedded' can be asked for");
    expect(() => readOptions(['--port=http'], {})).toThrow('--port=http: a number from 0 to 65535 is needed');
    expect(() => readOptions(['--port=65536'], {})).toThrow('--port=65536');
  });
});
