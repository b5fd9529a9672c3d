import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { WEAVE_EXPLORER } from './binding/bind-sluice.js';
import { WeaveExplorer } from './binding/weave.explorer.js';

/**
 * Every feature module with a woven decorator imports this; however many do, an app has one explorer.
 * Global, because Nest runs the init hooks of global modules first: values and factory results are then bound before
 * the app's own init hooks may call them.
 */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [{ provide: WEAVE_EXPLORER, useClass: WeaveExplorer }],
})
export class WeaveModule {}
