import type { ModulesContainer } from '@nestjs/core';
import { QUEUE_SERVICE } from '../queue/index.js';
import { declaredHandlers } from '../queue/decorators/task-handler.decorator.js';

/**
 * The `@TaskHandler` methods of an app without the queue feature, each as `OrdersService.process ('orders')`. Nothing
 * else in such an app looks for them. None where a queue module is imported beside SluiceModule.
 */
export function unhandledQueues(modules: ModulesContainer): readonly string[] {
  const found = new Set<string>();
  for (const { providers, controllers } of modules.values()) {
    if (providers.has(QUEUE_SERVICE)) return [];
    for (const { metatype, isNotMetatype } of [...providers.values(), ...controllers.values()]) {
      if (isNotMetatype || typeof metatype !== 'function') continue;
      for (const { key, queue } of declaredHandlers(metatype.prototype as object)) {
        found.add(`${metatype.name}.${String(key)} ('${queue}')`);
      }
    }
  }
  return [...found];
}
