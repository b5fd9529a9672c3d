import { SluiceError } from '../weave/index.js';

/** A payload that would not come back as it was put. `path` names the part: `payload.items[3].price`. */
export class UnserializablePayloadError extends SluiceError {
  constructor(
    readonly path: string,
    what: string,
  ) {
    super('SLUICE_QUEUE_UNSERIALIZABLE', `${path} ${what}; nothing was published`);
  }
}
