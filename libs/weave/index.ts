/**
 * The base layer under decorators and options. It imports no other library and knows no Redis.
 *
 * - `methods/` wraps a decorated method
 * - `binding/` gives each object the service of its app, and refuses to run without one
 * - options: checks that name the path and the value
 * - `SluiceError`: the base of all errors, recognised by brand and code
 *
 * @see ARCHITECTURE.md#the-base-layer
 * @packageDocumentation
 */

export { SluiceError, isSluiceError, type SluiceErrorCode } from './sluice.error.js';
export {
  DEPTH_MAX,
  NAME_MAX_BYTES,
  clip,
  countIn,
  instantIn,
  isDeeperThan,
  isLongerThan,
  isWellFormed,
  show,
} from './limits.js';
export {
  AGE_MAX_MS,
  badOption,
  checkText,
  count,
  durationMs,
  flag,
  fn,
  oneOf,
  optional,
  refusePromise,
  required,
  resolveOptions,
  text,
  type Check,
  type OptionChecks,
} from './options.js';
export { similarTo } from './option-hints.js';
export { bindSluice, type ProviderLookup } from './binding/bind-sluice.js';
export { copyMethodMetadata } from './methods/copy-method-metadata.js';
export { brandService, injectedProvider } from './binding/bound-service.js';
export { unprotected } from './binding/unprotected.js';
export { type AsyncMethodDecorator, type AsyncMethodDecoratorOf, type KeyFunction } from './methods/method-types.js';
export { weaveMethod, type WeaveDecorator } from './methods/weave-method.js';
export { holdUntilEnd, discardResult } from './results/hold-until-end.js';
export { badResult, ongoingKind } from './results/ongoing-result.js';
export type { HeldResource } from './results/result-hold.js';
export { runToEnd, type RunToEndOptions } from './results/run-to-end.js';
export { classPrototypeOf } from './binding/class-prototype.js';
export { initModuleFirst } from './binding/init-module-first.js';
export { isInventedName } from './methods/invented-names.js';
export { WeaveModule } from './weave.module.js';
export { type AnyMethod, type WovenCall } from './methods/woven-call.js';
export { noteServedMethod, servedMethods, unservedMethods, type ServedMethod } from './methods/served-methods.js';
export { type Class, type ProviderScope, type Weaver, type WovenSite } from './methods/woven-methods.js';
