import type { ModulesContainer } from '@nestjs/core';

/**
 * Makes Nest destroy a module before all others, wherever it is imported. A module that takes work has to stop while the
 * providers that the work needs are alive, those of the root module included. Call it in the constructor of the module.
 *
 * Nest calls `onModuleDestroy` module by module, the nearest to the root first, by each one's `distance`, which it reads
 * after all is constructed; the root's own is the smallest there is. A Nest without distances (11 and 12 have them)
 * would keep to the order of imports.
 */
export function destroyModuleFirst(modules: ModulesContainer, moduleClass: object): void {
  for (const module of modules.values()) if (module.metatype === moduleClass) module.distance = -1;
}
