import { describe, expect, it } from '@jest/globals';
import { Delivery } from './delivery.js';

const deliver = (fields: string[], id = '1700000000123-4', deliveries = 1): Delivery =>
  new Delivery('tasks', { id, fields, deliveries }, 0);

describe('Delivery', () => {
  it('reads an entry of ours', () => {
    const { task, retryCount } = deliver(
      ['payload', '{"a":1}', 'timestamp', '1700000000', 'retry_count', '0', 'meta', ''],
      '5-1',
      2,
    );
    expect(task).toMatchObject({ id: '5-1', payload: { a: 1 }, stream: 'tasks', attempt: 1, deliveries: 2 });
    expect(task?.publishedAt).toEqual(new Date(1_700_000_000_000));
    expect(retryCount).toBe(0);
  });

  it('reads three fields, in another order, between others', () => {
    const delivery = deliver(['x', '1', 'retry_count', '2', 'payload', '"p"', 'timestamp', '1700000000', 'y', '2']);
    expect(delivery.task).toMatchObject({ id: '1700000000123-4', payload: 'p', attempt: 3 });
  });

  it('takes what is missing or odd from the entry itself', () => {
    const delivery = deliver(['payload', '0', 'timestamp', 'soon', 'retry_count', '-1', 'meta', '[broken']);
    expect(delivery.task).toMatchObject({ payload: 0, attempt: 1, publishedAt: new Date(1_700_000_000_123) });
    expect(JSON.parse(delivery.nextMeta())).toEqual({ id: '1700000000123-4' });
  });

  it('keeps its first id, and what else stands in meta', () => {
    const delivery = deliver(['payload', '0', 'retry_count', '1', 'meta', '{"id":"7-0","trace":"t"}'], '9-9');
    expect(delivery.task?.id).toBe('7-0');
    expect(JSON.parse(delivery.nextMeta())).toEqual({ id: '7-0', trace: 't' });
  });

  it.each([
    [['timestamp', '1', 'retry_count', '0'], 'no-payload'],
    [['payload', '{"a":', 'timestamp', '1', 'retry_count', '0'], 'bad-payload'],
    [['payload', '', 'timestamp', '1', 'retry_count', '0'], 'bad-payload'],
  ])('says why %j is no task', (fields, reason) => {
    const { task, unreadable } = deliver(fields);
    expect(task).toBeUndefined();
    expect(unreadable).toMatchObject({ reason });
  });

  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
  const long = 'i'.repeat(1_025);

  it('takes no payload that lies deeper than one that can be published', () => {
    expect(deliver(['payload', deep(200)]).task).toBeDefined();
    expect(deliver(['payload', deep(201)]).unreadable).toEqual({
      reason: 'bad-payload',
      message: 'the payload lies more than 200 levels deep',
    });
  });

  it.each([
    ['an id that is too long', `{"id":"${long}"}`],
    ['an id that no text can carry', '{"id":"\\ud800"}'],
    ['an id that is a number', '{"id":7}'],
    ['a meta that is too deep', `{"id":"7-0","a":${deep(100_000)}}`],
    ['a meta that is a list', '["id"]'],
  ])('has the id of the entry instead of %s, and writes its next meta', (_what, meta) => {
    const delivery = deliver(['payload', '0', 'meta', meta]);
    expect(delivery.taskId).toBe('1700000000123-4');
    expect(JSON.parse(delivery.nextMeta())).toMatchObject({ id: '1700000000123-4' });
  });

  it.each([
    ['9007199254740991', '', '1700000000123-4', 1_700_000_000_123],
    ['', '{"id":"of.another-form"}', '1700000000123-4', 1_700_000_000_123],
    ['', '{"id":"99999999999999999999-1"}', '1700000000123-4', 1_700_000_000_123],
    ['', '', '18446744073709551615-1', 0],
    ['', '', '', 0],
  ])('was published at an instant that a Date holds: timestamp %j, meta %j, entry %s', (timestamp, meta, id, ms) => {
    const { task } = deliver(['payload', '0', 'timestamp', timestamp, 'meta', meta], id);
    expect(task?.publishedAt.getTime()).toBe(ms);
  });

  it('takes along no trace context that is longer than W3C has it', () => {
    const meta = { traceparent: 'p'.repeat(257), tracestate: 's'.repeat(4_096), baggage: 'ü'.repeat(4_097) };
    expect(deliver(['payload', '0', 'meta', JSON.stringify(meta)]).task?.trace).toEqual({
      tracestate: meta.tracestate,
    });
  });

  it('has one signal, also if it is aborted before anyone asked for it', () => {
    const asked = deliver(['payload', '0']);
    const signal = asked.task?.signal;
    expect(signal?.aborted).toBe(false);
    expect(asked.task?.signal).toBe(signal);
    asked.abort('why');
    expect(signal?.aborted).toBe(true);

    const late = deliver(['payload', '0']);
    late.abort('why');
    expect(late.task?.signal.reason).toBe('why');
  });
});
