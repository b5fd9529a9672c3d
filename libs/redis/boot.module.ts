import { Inject, Injectable, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { BootHold } from './connection/boot-hold.js';
import { destroyModuleFirst } from './destroy-module-first.js';
import type { Clock } from './time/clock.js';

/** The boot holds of an app: one for each `SluiceRedisModule`. */
@Injectable()
export class BootHolds {
  readonly #holds: BootHold[] = [];

  add(clock: Clock): BootHold {
    const hold = new BootHold(clock);
    this.#holds.push(hold);
    return hold;
  }

  booted(): void {
    for (const hold of this.#holds) hold.booted();
  }
}

/** Has the last bootstrap hook of the app: when it is called, nothing of the boot can fail any more. */
@Module({ providers: [BootHolds], exports: [BootHolds] })
export class BootModule implements OnApplicationBootstrap {
  readonly #holds: BootHolds;

  constructor(@Inject(BootHolds) holds: BootHolds, @Inject(ModulesContainer) modules: ModulesContainer) {
    this.#holds = holds;
    destroyModuleFirst(modules, BootModule);
  }

  onApplicationBootstrap(): void {
    this.#holds.booted();
  }
}
