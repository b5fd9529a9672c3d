import { hostname } from 'node:os';
import { expect, it } from '@jest/globals';
import { makeProcessId, parseProcessId } from './process-id.js';

it('names one start of one process, and can be read again', () => {
  const [before, id, other] = [Date.now(), makeProcessId(), makeProcessId()];
  expect(id).not.toBe(other);
  const parsed = parseProcessId(id);
  expect(parsed).toMatchObject({ id, host: hostname(), pid: process.pid });
  expect(parsed?.startedMs).toBeGreaterThanOrEqual(before);
  expect(parsed?.startedMs).toBeLessThanOrEqual(Date.now());
});

it('may have a host with colons', () => {
  expect(parseProcessId('fe80::1:7:0-0123456789ab')).toEqual({
    id: 'fe80::1:7:0-0123456789ab',
    host: 'fe80::1',
    pid: 7,
    startedMs: 0,
  });
});

it.each(['', 'me', 'host:pid:0-0123456789ab', 'host:1:0', 'host:1:0-0123456789a', ':1:0-0123456789ab'])(
  'is not %p',
  (text) => {
    expect(parseProcessId(text)).toBeUndefined();
  },
);
