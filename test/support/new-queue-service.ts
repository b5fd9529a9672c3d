import { HandlerRegistry } from '../../libs/queue/handlers/handler.registry.js';
import { resolveQueueOptions, type SluiceQueueModuleOptions } from '../../libs/queue/queue.options.js';
import { QueueService } from '../../libs/queue/queue.service.js';
import type { RedisConnections } from '../../libs/redis/index.js';

/** A queue service without an app around it, and so without handlers. */
export function newQueueService(connections: RedisConnections, options: SluiceQueueModuleOptions = {}): QueueService {
  const resolved = resolveQueueOptions(options);
  return new QueueService(connections, resolved, new HandlerRegistry(resolved, connections));
}
