import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { WEAVE_EXPLORER } from './binding/bind-sluice.js';
import { WeaveExplorer } from './binding/weave.explorer.js';

/**
 * Every feature module with a woven decorator imports this module. An app has one explorer, however many features it uses.
 * The module is global because Nest runs the init hooks of global modules first: values and results of factories are
 * bound before the app's own init hooks call them.
 */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [{ provide: WEAVE_EXPLORER, useClass: WeaveExplorer }],
})
export class WeaveModule {}
