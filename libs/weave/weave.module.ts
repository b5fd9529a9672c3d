import { Global, Inject, Module } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { WEAVE_EXPLORER } from './binding/bind-sluice.js';
import { initModuleFirst } from './binding/init-module-first.js';
import { WeaveExplorer } from './binding/weave.explorer.js';

/**
 * Every feature module with a woven decorator imports this module. An app has one explorer, however many features it uses.
 * The module is initialised before all others, global ones included: values and results of factories are bound before
 * the app's own init hooks call them.
 */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [{ provide: WEAVE_EXPLORER, useClass: WeaveExplorer }],
})
export class WeaveModule {
  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    initModuleFirst(modules, WeaveModule);
  }
}
