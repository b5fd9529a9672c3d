import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { gate, type Gate } from '../../../../test/support/gate.js';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import type { QueueApp } from '../../../../test/support/queue-app.js';
import { until } from '../../../../test/support/until.js';
import { Link, frame } from '../../../redis/index.js';
import { Worker } from '../worker.js';
import { StreamReader } from './stream-reader.js';

const bed = new QueueBed();
const { prototype } = Link;

/** Reads since the first one was held back; `block` is that of the command. */
let later: { block: boolean }[] = [];
let held: Gate;
let resume: Gate;
beforeEach(() => {
  later = [];
  held = gate();
  resume = gate();
  const send = prototype.send;
  // The first read of the small handler, which comes by itself before the read of all that blocks.
  let isFirst = true;
  jest.spyOn(prototype, 'send').mockImplementation(async function (this: Link, command, args = [], options) {
    if (command !== 'xreadgroup') return send.call(this, command, args, options);
    const block = args.includes('BLOCK');
    if (!isFirst) later.push({ block });
    else {
      isFirst = false;
      expect(block).toBe(false);
      held.open();
      await resume.opened;
    }
    return send.call(this, command, args, options);
  });
});
afterEach(() => {
  resume.open();
  jest.restoreAllMocks();
});

/** An app whose reader makes a read of its own for `small`, before the one for both that blocks. One slot, so one reader. */
const start = (): Promise<QueueApp> =>
  bed.start({
    handlers: {
      '{one}tasks': { run: () => {}, options: { concurrency: 50 } },
      '{one}small': { run: () => {}, options: { concurrency: 1 } },
    },
  });

it('stops without another read, if it was in one that does not block', async () => {
  const stop = jest.spyOn(StreamReader.prototype, 'stop');
  // By itself, while its workers would read on.
  jest.spyOn(Worker.prototype, 'drain').mockImplementation(() => {});
  const { app } = await start();
  await held.opened;
  const closed = app.close();
  await until(() => stop.mock.calls.length > 0, { what: 'it is told to stop' });
  resume.open();
  await closed;
  expect(later).toEqual([]);
});

it('does not block when it was told of work during the reads before', async () => {
  const look = jest.spyOn(StreamReader.prototype, 'look');
  const { connections } = await start();
  await held.opened;
  await bed.admin.publish(connections.get().inbox.channel, frame('queue:released', '{one}tasks'));
  await until(() => look.mock.calls.length > 0, { what: 'the message has arrived' });
  resume.open();
  await until(() => later.length > 0, { what: 'it reads' });
  expect(later[0]).toEqual({ block: false });
});
