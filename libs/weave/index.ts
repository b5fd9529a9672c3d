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
