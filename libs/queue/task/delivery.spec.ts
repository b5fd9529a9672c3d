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
