export { SluiceError, isSluiceError, type SluiceErrorCode } from './sluice.error.js';
export {
  badOption,
  count,
  durationMs,
  flag,
  fn,
  oneOf,
  optional,
  resolveOptions,
  text,
  type Check,
  type OptionChecks,
} from './options.js';
export { bindSluice, type ProviderLookup } from './bind-sluice.js';
export { copyMethodMetadata } from './copy-method-metadata.js';
export { brandService } from './bound-service.js';
export { type AsyncMethodDecorator, type AsyncMethodDecoratorOf, type KeyFunction } from './method-types.js';
export { weaveMethod, type WeaveDecorator } from './weave-method.js';
export { WeaveModule } from './weave.module.js';
export { type AnyMethod, type WovenCall } from './woven-call.js';
export { type Class, type ProviderScope, type Weaver, type WovenSite } from './woven-methods.js';
