import 'reflect-metadata';
import { forwardRef, Inject, Injectable, Scope } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { expect } from '@jest/globals';
import { bindSluice } from 'nestjs-sluice/weave';
import {
  expectGreeting,
  type Greeter,
  greeterClass,
  type MatrixKit,
  type MatrixRow,
  type Scenario,
} from './decorator-matrix.kit.js';

/** How the object came into being, and who calls it. */
export const providerRows: readonly MatrixRow[] = [
  { title: 'a self-call', build: selfCallScenario },
  { title: 'a call from service to service', build: serviceToServiceScenario },
  { title: 'a request-scoped provider', build: requestScopedScenario },
  { title: 'a transient provider', build: transientScenario },
  { title: 'what a factory returned', build: (kit) => suppliedScenario(kit, (make) => ({ useFactory: make })) },
  { title: 'a value', build: (kit) => suppliedScenario(kit, (make) => ({ useValue: make() })) },
  { title: 'a frozen value', build: (kit) => suppliedScenario(kit, (make) => ({ useValue: Object.freeze(make()) })) },
  { title: 'an inherited method', build: inheritedScenario },
  { title: 'an override, decorated as well, that calls super', build: decoratedOverrideScenario },
  { title: 'an override, not decorated, that calls super', build: plainOverrideScenario },
  { title: 'two services that need each other (forwardRef)', build: forwardRefScenario },
  { title: 'an object of ModuleRef.create', build: createdScenario },
  { title: 'an object that Nest never saw, bound by hand', build: boundByHandScenario },
  { title: 'an error of the body', build: errorScenario },
];

function selfCallScenario(kit: MatrixKit): Scenario {
  @Injectable()
  class Caller extends greeterClass(kit) {
    async twice(word: string): Promise<string> {
      return `${await this.greet(word)}, ${await this.greet(kit.word())}`;
    }
  }
  return {
    metadata: () => ({ providers: [Caller] }),
    async exercise(app) {
      await expect(app.get(Caller).twice(kit.word())).resolves.toMatch(/^hello word-\d+, hello word-\d+$/);
      return 2;
    },
  };
}

function serviceToServiceScenario(kit: MatrixKit): Scenario {
  const Greeter = greeterClass(kit);
  @Injectable()
  class Host {
    constructor(@Inject(Greeter) readonly greeter: Greeter) {}
  }
  return {
    metadata: () => ({ providers: [Greeter, Host] }),
    async exercise(app) {
      await expectGreeting(kit, app.get(Host).greeter);
      return 1;
    },
  };
}

function requestScopedScenario(kit: MatrixKit): Scenario {
  const Greeter = greeterClass(kit);
  return {
    metadata: () => ({ providers: [{ provide: Greeter, useClass: Greeter, scope: Scope.REQUEST }] }),
    async exercise(app) {
      const [first, second] = [await app.resolve(Greeter), await app.resolve(Greeter)];
      expect(first).not.toBe(second);
      await expectGreeting(kit, first);
      await expectGreeting(kit, second);
      return 2;
    },
  };
}

function transientScenario(kit: MatrixKit): Scenario {
  const Greeter = greeterClass(kit);
  @Injectable()
  class First {
    constructor(@Inject(Greeter) readonly greeter: Greeter) {}
  }
  @Injectable()
  class Second extends First {}
  return {
    metadata: () => ({
      providers: [First, Second, { provide: Greeter, useClass: Greeter, scope: Scope.TRANSIENT }],
    }),
    async exercise(app) {
      expect(app.get(First).greeter).not.toBe(app.get(Second).greeter);
      await expectGreeting(kit, app.get(First).greeter);
      await expectGreeting(kit, app.get(Second).greeter);
      return 2;
    },
  };
}

function suppliedScenario(
  kit: MatrixKit,
  supply: (make: () => Greeter) => { useValue: Greeter } | { useFactory: () => Greeter },
): Scenario {
  const Greeter = greeterClass(kit);
  return {
    metadata: () => ({ providers: [{ provide: Greeter, ...supply(() => new Greeter()) }] }),
    async exercise(app) {
      await expectGreeting(kit, app.get(Greeter));
      return 1;
    },
  };
}

function inheritedScenario(kit: MatrixKit): Scenario {
  @Injectable()
  class Heir extends greeterClass(kit) {
    override readonly greeting = 'hi';
  }
  return { metadata: () => ({ providers: [Heir] }), exercise: (app) => expectCalls(kit, app.get(Heir), 1, 'hi') };
}

function decoratedOverrideScenario(kit: MatrixKit): Scenario {
  @Injectable()
  class Polite extends greeterClass(kit) {
    @kit.woven('greet politely')
    override async greet(word: string): Promise<string> {
      return `dear, ${await super.greet(word)}`;
    }
  }
  return {
    metadata: () => ({ providers: [Polite] }),
    exercise: (app) => expectCalls(kit, app.get(Polite), 2, 'dear, hello'),
  };
}

function plainOverrideScenario(kit: MatrixKit): Scenario {
  @Injectable()
  class Polite extends greeterClass(kit) {
    override async greet(word: string): Promise<string> {
      return `dear, ${await super.greet(word)}`;
    }
  }
  return {
    metadata: () => ({ providers: [Polite] }),
    exercise: (app) => expectCalls(kit, app.get(Polite), 1, 'dear, hello'),
  };
}

async function expectCalls(kit: MatrixKit, greeter: Greeter, calls: number, greeting: string): Promise<number> {
  const word = kit.word();
  await expect(greeter.greet(word)).resolves.toBe(`${greeting} ${word}`);
  return calls;
}

function forwardRefScenario(kit: MatrixKit): Scenario {
  @Injectable()
  class Left extends greeterClass(kit) {
    constructor(@Inject(forwardRef(() => Right)) readonly other: Greeter) {
      super();
    }
  }
  @Injectable()
  class Right extends greeterClass(kit) {
    constructor(@Inject(forwardRef(() => Left)) readonly other: Greeter) {
      super();
    }
  }
  return {
    metadata: () => ({ providers: [Left, Right] }),
    async exercise(app) {
      const [left, right] = [app.get(Left), app.get(Right)];
      for (const greeter of [left, right, left.other, right.other]) await expectGreeting(kit, greeter);
      return 4;
    },
  };
}

function createdScenario(kit: MatrixKit): Scenario {
  const Greeter = greeterClass(kit);
  return {
    metadata: () => ({}),
    async exercise(app) {
      await expectGreeting(kit, await app.get(ModuleRef).create(Greeter));
      return 1;
    },
  };
}

function boundByHandScenario(kit: MatrixKit): Scenario {
  const Greeter = greeterClass(kit);
  return {
    metadata: () => ({}),
    async exercise(app) {
      await expectGreeting(kit, bindSluice(new Greeter(), app));
      return 1;
    },
  };
}

function errorScenario({ woven, word }: MatrixKit): Scenario {
  const failure = new RangeError('out of stock');
  @Injectable()
  class Failing {
    @woven('reject')
    async reject(name: string): Promise<string> {
      if (name !== '') throw failure;
      return name;
    }

    @woven('throw')
    throwAtOnce(name: string): Promise<string> {
      if (name !== '') throw failure;
      return Promise.resolve(name);
    }
  }
  return {
    metadata: () => ({ providers: [Failing] }),
    async exercise(app) {
      const outcome = (call: Promise<string>): Promise<unknown> => call.catch((error: unknown) => error);
      expect(await outcome(app.get(Failing).reject(word()))).toBe(failure);
      expect(await outcome(app.get(Failing).throwAtOnce(word()))).toBe(failure);
      return 2;
    },
  };
}
