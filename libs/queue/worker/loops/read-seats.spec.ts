import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { RedisConnections, type SocketName } from '../../../redis/index.js';
import { startRedis, type RedisServer } from '../../../testing/index.js';
import { until } from '../../../../test/support/until.js';
import { ReadSeats, type ReadSeat, type SeatHolder } from './read-seats.js';

let redis: RedisServer;
let connections: RedisConnections;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
});
afterEach(() => connections.onApplicationShutdown());
afterAll(() => redis.stop());

class Holder implements SeatHolder {
  seat: ReadSeat | undefined;
  yields = 0;
  readonly lostNames: SocketName[] = [];
  wakes = 0;

  seated(seat: ReadSeat): void {
    this.seat = seat;
  }

  yieldSeat(): void {
    this.yields++;
  }

  connected(): void {
    this.wakes++;
  }

  lost(name: SocketName): void {
    this.lostNames.push(name);
  }
}

const seatsOf = (most: number): ReadSeats =>
  new ReadSeats({ connection: connections.get(), clock: connections.clock, most });

const holders = (count: number): Holder[] => Array.from({ length: count }, () => new Holder());

/** Gives the holder's seat back. */
function leaveSeat(seats: ReadSeats, holder: Holder): ReadSeat {
  const seat = holder.seat!;
  holder.seat = undefined;
  seats.giveBack(seat);
  return seat;
}

it('gives each reader a seat of its own, as long as there are some', () => {
  const seats = seatsOf(2);
  const [a, b, c] = holders(3) as [Holder, Holder, Holder];
  for (const holder of [a, b, c]) seats.ask(holder);
  expect(a.seat).toBeDefined();
  expect(b.seat).toBeDefined();
  expect(a.seat).not.toBe(b.seat);
  expect(c.seat).toBeUndefined();
});

it('asks as many readers for their seats as others wait, those without tasks first', () => {
  const seats = seatsOf(3);
  const [a, b, c, d, e] = holders(5) as [Holder, Holder, Holder, Holder, Holder];
  for (const holder of [a, b, c]) seats.ask(holder);
  seats.wasBusy(a.seat!);
  expect(seats.wanted).toBe(false);
  seats.ask(d);
  expect([a, b, c].map(({ yields }) => yields)).toEqual([0, 1, 0]);
  // Asked twice, a reader waits once.
  seats.ask(d);
  seats.ask(e);
  expect([a, b, c].map(({ yields }) => yields)).toEqual([0, 1, 1]);
  expect(seats.wanted).toBe(true);
});

it('passes a seat on in the order of the requests, and keeps it for the next one when nobody waits', () => {
  const seats = seatsOf(1);
  const [a, b, c] = holders(3) as [Holder, Holder, Holder];
  for (const holder of [a, b, c]) seats.ask(holder);
  const seat = leaveSeat(seats, a);
  expect([b.seat, c.seat]).toEqual([seat, undefined]);
  expect(seats.wanted).toBe(true);
  leaveSeat(seats, b);
  expect(c.seat).toBe(seat);
  expect(seats.wanted).toBe(false);
  leaveSeat(seats, c);
  seats.ask(a);
  expect(a.seat).toBe(seat);
});

it('tells the reader that has the seat of a lost socket, and of its return', async () => {
  const seats = seatsOf(1);
  const [a, b] = holders(2) as [Holder, Holder];
  seats.ask(a);
  await until(() => a.wakes === 1, { what: 'it is connected' });
  await a.seat!.socket.identify();
  leaveSeat(seats, a);
  seats.ask(b);
  await redis.ask((client) => client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
  await until(() => b.wakes === 1, { what: 'it is connected again' });
  expect(b.lostNames).toHaveLength(1);
  expect([a.wakes, a.lostNames]).toEqual([1, []]);
});

it('closes every socket when readers leave', async () => {
  const seats = seatsOf(2);
  const [a, b, c] = holders(3) as [Holder, Holder, Holder];
  for (const holder of [a, b, c]) seats.ask(holder);
  leaveSeat(seats, b);
  leaveSeat(seats, c);
  await Promise.all([seats.leave(a, a.seat, Promise.resolve()), seats.leave(b, undefined, Promise.resolve())]);
  await seats.close();
  const open = async (): Promise<number> =>
    String(await redis.ask((client) => client.client('LIST'))).split('name=sluice:queue ').length - 1;
  await until(async () => (await open()) === 0, { what: 'both are closed' });
});
