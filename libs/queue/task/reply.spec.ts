import { expect, it } from '@jest/globals';
import { makeProcessId } from '../../redis/process-id.js';
import { parseReply, replyText } from './reply.js';

const reply = { processId: makeProcessId(), token: 'x'.repeat(22), waitMs: 30_000, group: 'a group\nof any name' };

it('is read as it was written', () => {
  expect(parseReply(replyText(reply))).toEqual(reply);
});

it.each([
  [undefined],
  [7],
  [''],
  ['somebody'],
  [replyText({ ...reply, processId: 'no-process' })],
  [replyText({ ...reply, token: 'short' })],
  [replyText({ ...reply, token: '{x}'.padEnd(22, 'x') })],
  [replyText({ ...reply, waitMs: NaN })],
  [replyText({ ...reply, waitMs: 1e12 })],
  [replyText({ ...reply, group: '' })],
])('is none if it is %j', (text) => {
  expect(parseReply(text)).toBeUndefined();
});
