/** One process of the fleet, with the package that is installed beside it. It does what messages ask for, and answers. */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheService, LockService, QueueService, SluiceModule, TaskHandler } from 'nestjs-sluice';

const LEASE_MS = 900;
const handled = [];
const gates = [];
let loads = 0;
const locks = new Map();
const waits = new Map();

class Handlers {
  async handle(task) {
    handled.push(task.payload.n);
    if (task.payload.fails && task.attempt === 1) throw new Error('as asked');
    if (task.payload.holds) await new Promise((resolve) => gates.push(resolve));
  }
}
TaskHandler('tasks', { concurrency: 4, backoff: 0 })(
  Handlers.prototype,
  'handle',
  Object.getOwnPropertyDescriptor(Handlers.prototype, 'handle'),
);

class App {}
Module({
  imports: [
    SluiceModule.forRoot({
      namespace: 'fleet',
      redis: { url: process.env.SLUICE_REDIS_URL },
      queue: { leaseMs: LEASE_MS },
    }),
  ],
  providers: [Handlers],
})(App);

const app = await NestFactory.createApplicationContext(App, { logger: false });
const [lockService, cache, queue] = [app.get(LockService), app.get(CacheService), app.get(QueueService)];

const calls = {
  async acquire(name, options) {
    const lock = await lockService.acquire(name, options);
    locks.set(name, lock);
    return lock.fencingToken;
  },
  /** Waits in the background; `granted` tells. */
  wait(name) {
    waits.set(name, calls.acquire(name, { waitMs: 60_000 }));
  },
  granted: (name) => waits.get(name),
  release: (name) => locks.get(name).release(),
  held: (name) => locks.get(name).held,
  async load(key, ms, value) {
    return cache.getOrLoad(
      key,
      async () => {
        loads++;
        await new Promise((resolve) => setTimeout(resolve, ms));
        return value;
      },
      { tags: ['all'] },
    );
  },
  get: (key) => cache.get(key),
  invalidate: () => cache.invalidateTags('all'),
  loads: () => loads,
  publish: (payloads) => queue.publishMany('tasks', payloads),
  delay: (payload, delayMs) => queue.publish('tasks', payload, { delayMs }),
  counts: () => queue.counts('tasks'),
  handled: () => handled,
  open() {
    for (const open of gates.splice(0)) open();
  },
  close: () => app.close(),
};

process.on('message', async ({ id, call, args }) => {
  try {
    process.send({ id, result: await calls[call](...args) });
  } catch (error) {
    process.send({ id, error: String(error) });
  }
  if (call === 'close') process.disconnect();
});
process.send('ready');
