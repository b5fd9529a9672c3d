import type { ModulesContainer } from '@nestjs/core';

/**
 * Has Nest initialise a module before all others and shut it down after them, global modules included, wherever it is
 * imported. To be called while the module is constructed.
 *
 * Nest runs the hooks module by module, in the order of their `distance`, which it reads after all is constructed. All
 * global modules have the distance `Number.MAX_VALUE`, so that the order of imports would decide among them.
 */
export function initModuleFirst(modules: ModulesContainer, moduleClass: object): void {
  for (const module of modules.values()) if (module.metatype === moduleClass) module.distance = Infinity;
}
