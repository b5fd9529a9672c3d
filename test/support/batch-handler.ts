import { Injectable, Module, type Type } from '@nestjs/common';
import {
  TaskHandler,
  type BatchHandlerOptions,
  type QueueDefinition,
  type QueueOfTasks,
  type Task,
} from 'nestjs-sluice/queue';

/** A module with a handler of batches. */
export function batchModule(
  queue: string | QueueDefinition<unknown> | QueueOfTasks,
  options: BatchHandlerOptions,
  run: (tasks: readonly Task<never>[]) => unknown,
): Type {
  @Injectable()
  class Batches {
    @TaskHandler(queue as QueueDefinition<unknown, never>, options)
    handle(tasks: readonly Task<never>[]): unknown {
      return run(tasks);
    }
  }
  @Module({ providers: [Batches] })
  class Handlers {}
  return Handlers;
}
