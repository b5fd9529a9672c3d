import { ConfigurableModuleBuilder, Module } from '@nestjs/common';
import { resolveSluiceOptions, type SluiceOptions } from './sluice.options.js';

/** The options as the factory or class returned them, unchecked. */
const GIVEN = 'sluice:given-options';

/** Nest provider token of the checked {@link SluiceOptions}. Each feature reads its own part. */
export const SLUICE_OPTIONS = 'sluice:options';

export const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<SluiceOptions>({
  optionsInjectionToken: GIVEN,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createSluiceOptions')
  .build();

/** Resolves the options once, for all features of one `SluiceModule`. */
@Module({
  providers: [{ provide: SLUICE_OPTIONS, inject: [GIVEN], useFactory: resolveSluiceOptions }],
  exports: [SLUICE_OPTIONS],
})
export class SluiceOptionsModule extends ConfigurableModuleClass {}
