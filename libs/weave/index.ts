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
export { bindSluice, type ProviderLookup } from './binding/bind-sluice.js';
export { copyMethodMetadata } from './methods/copy-method-metadata.js';
export { brandService } from './binding/bound-service.js';
export { type AsyncMethodDecorator, type AsyncMethodDecoratorOf, type KeyFunction } from './methods/method-types.js';
export { weaveMethod, type WeaveDecorator } from './methods/weave-method.js';
export { WeaveModule } from './weave.module.js';
export { type AnyMethod, type WovenCall } from './methods/woven-call.js';
export { type Class, type ProviderScope, type Weaver, type WovenSite } from './methods/woven-methods.js';
