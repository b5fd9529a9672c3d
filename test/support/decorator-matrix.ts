import 'reflect-metadata';
import {
  type DynamicModule,
  type INestApplication,
  Module,
  type NestApplicationOptions,
  SetMetadata,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type DecoratorUnderTest,
  type MatrixKit,
  type MatrixRow,
  PROBE,
  type Scenario,
} from './decorator-matrix.kit.js';
import { entryRows } from './decorator-matrix.entries.js';
import { providerRows } from './decorator-matrix.providers.js';

const rows = [...entryRows, ...providerRows];

/**
 * Runs one decorator through every way in which Nest code reaches a method, with other decorators above and below it,
 * with and without the Proxies of an `instanceDecorator`, in two apps of one process. Each call must go through the
 * service of its own app, and through it alone. The rows share the two apps: each row is a module of its own in them.
 */
export function describeDecoratorMatrix(subject: DecoratorUnderTest): void {
  describe.each(['below the others', 'above the others'] as const)(`${subject.name} %s`, (place) => {
    describe.each(instanceDecorators)('%s', (_title, observe) => {
      const apps: INestApplication[] = [];
      const scenarios = new Map<MatrixRow, Scenario>();

      beforeAll(async () => {
        const woven = new Set<object>();
        for (const row of rows) scenarios.set(row, row.build(kitOf(subject, place, woven)));
        const setting = { subject, scenarios: [...scenarios.values()] };
        for (let app = 1; app <= 2; app++) {
          apps.push(await startApp({ ...setting, observe: (object) => observe(object, woven) }));
        }
      });
      afterAll(async () => {
        for (const app of apps) await app.close();
      });

      it.each(rows.map((row) => [row.title, row] as const))('%s', async (_row, row) => {
        const [first, second] = apps as [INestApplication, INestApplication];
        const scenario = scenarios.get(row) as Scenario;
        await expectOwnCalls(subject, scenario, first, second);
        await expectOwnCalls(subject, scenario, second, first);
      });
    });
  });
}

async function expectOwnCalls(
  subject: DecoratorUnderTest,
  scenario: Scenario,
  app: INestApplication,
  other: INestApplication,
): Promise<void> {
  const before = [await subject.callsTaken(app), await subject.callsTaken(other)] as const;
  const calls = await scenario.exercise(app);
  expect(calls).toBeGreaterThan(0);
  expect([await subject.callsTaken(app), await subject.callsTaken(other)]).toEqual([before[0] + calls, before[1]]);
}

let words = 0;

function kitOf(
  subject: DecoratorUnderTest,
  place: 'below the others' | 'above the others',
  seen: Set<object>,
): MatrixKit {
  return {
    word: () => `word-${++words}`,
    woven: (key, ...others) => {
      const theirs = [...others, SetMetadata(PROBE, key)];
      const ours = subject.decorate(key);
      return (target, name, descriptor) => {
        seen.add(target);
        // As TypeScript applies them: the lowest first.
        for (const decorate of place === 'below the others' ? [ours, ...theirs] : [...theirs, ours]) {
          decorate(target, name, descriptor);
        }
      };
    },
  };
}

interface AppToStart {
  subject: DecoratorUnderTest;
  scenarios: readonly Scenario[];
  observe(object: object): object;
}

async function startApp({ subject, scenarios, observe }: AppToStart): Promise<INestApplication> {
  @Module({})
  class MatrixModule {}
  const instanceDecorator = (instance: unknown): unknown =>
    typeof instance === 'object' && instance !== null ? observe(instance) : instance;
  const options: Readonly<NestApplicationOptions> = {
    logger: false,
    abortOnError: false,
    instrument: { instanceDecorator },
  };
  const root = { module: MatrixModule, imports: [...subject.imports(), ...scenarios.map(moduleOf)] };
  return (await NestFactory.create(root, options)).init();
}

function moduleOf(scenario: Scenario): DynamicModule {
  @Module({})
  class RowModule {}
  return { module: RowModule, ...scenario.metadata() };
}

type Observe = (object: object, woven: ReadonlySet<object>) => object;

/** Proxies around the objects with decorated methods, as instrumentation puts there. */
const instanceDecorators: [string, Observe][] = [
  ['on plain objects', (object) => object],
  [
    'behind Proxies that are `this` to the methods',
    (object, woven) => (isWoven(object, woven) ? veiled(object) : object),
  ],
  [
    'behind Proxies that keep themselves out of the methods',
    (object, woven) => (isWoven(object, woven) ? tracing(object) : object),
  ],
];

function isWoven(object: object, woven: ReadonlySet<object>): boolean {
  for (let at = Reflect.getPrototypeOf(object); at !== null; at = Reflect.getPrototypeOf(at)) {
    if (woven.has(at)) return true;
  }
  return false;
}

/** Lets its methods run on itself, and getters on the object behind it, as a `get` trap without the receiver does. */
function veiled(object: object): object {
  return new Proxy(object, { get: (target, key): unknown => Reflect.get(target, key) });
}

/** Hands out wrappers that run each method on the object itself, and carry its metadata. */
function tracing(object: object): object {
  return new Proxy(object, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function' || key === 'constructor') return value;
      const traced = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
      for (const name of Reflect.getMetadataKeys(value) as unknown[]) {
        Reflect.defineMetadata(name, Reflect.getMetadata(name, value), traced);
      }
      return traced;
    },
  });
}
