import { ConfigurableModuleBuilder, Module } from '@nestjs/common';
import { resolveSluiceOptions, type SluiceOptions } from './sluice.options.js';

/** What the factory or class gave, before it is checked. */
const GIVEN = 'sluice:given-options';

/** Nest provider token of the checked {@link SluiceOptions}, from which each feature takes its part. */
export const SLUICE_OPTIONS = 'sluice:options';

export const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<SluiceOptions>({
  optionsInjectionToken: GIVEN,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createSluiceOptions')
  .build();

/** Resolves the options once; all features of one `SluiceModule` share it. */
@Module({
  providers: [{ provide: SLUICE_OPTIONS, inject: [GIVEN], useFactory: resolveSluiceOptions }],
  exports: [SLUICE_OPTIONS],
})
export class SluiceOptionsModule extends ConfigurableModuleClass {}
