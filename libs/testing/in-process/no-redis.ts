import { RedisConnections, type Clock } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';

/** The shared parts of the features, without a Redis. It never connects. */
export class NoRedis extends RedisConnections {
  constructor(namespace: string | undefined, clock: Clock) {
    super({ namespace, clock });
  }

  override get(): never {
    throw new SluiceError('SLUICE_NO_REDIS', 'SluiceTestingModule has no Redis; use SluiceModule with startRedis()');
  }

  override onModuleInit(): Promise<void> {
    return Promise.resolve();
  }
}
