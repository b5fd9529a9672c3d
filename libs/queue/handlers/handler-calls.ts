import { AsyncLocalStorage } from 'node:async_hooks';
import { Inject, Injectable } from '@nestjs/common';
import { ContextIdFactory, ExternalContextCreator, ModuleRef, type DiscoveryService } from '@nestjs/core';
import { copyMethodMetadata } from '../../weave/index.js';
import { Task, withPayload } from '../task/task.js';

export type ProviderWrapper = ReturnType<DiscoveryService['getProviders']>[number];
type ContextId = ReturnType<typeof ContextIdFactory.create>;
type Method = (handled: Handled) => unknown;

/** What a handler gets: one task, or a batch. */
export type Handled = Task | readonly Task[];
/** Calls the handler's method with one task, or with a batch. */
export type HandlerCall<Input extends Handled = Task> = (handled: Input) => unknown;

/** The context type that guards, interceptors and filters see: `context.getType() === 'sluice'`. */
const CONTEXT_TYPE = 'sluice';
/** The metadata key under which Nest finds how to make a handler's parameters. */
const PARAMETERS = 'sluice:task-parameters';
/**
 * One parameter, in Nest's notation `<type>:<index>`: the payload, with the type of an HTTP body. It is not at the task's index,
 * because Nest passes to pipes the class of the method's parameter at that index. The task itself is no parameter here, because
 * pipes get every parameter.
 */
const PAYLOAD = { '3:1': { index: 1, pipes: [] } };

/** The task of the current call, because Nest passes only the payload through. */
const underWay = new AsyncLocalStorage<Task>();

/** Creates the calls of handlers: on a singleton, or on one object per task; through Nest's enhancers, if asked to. */
@Injectable()
export class HandlerCalls {
  readonly #contexts: ExternalContextCreator;
  readonly #moduleRef: ModuleRef;

  constructor(
    @Inject(ExternalContextCreator) contexts: ExternalContextCreator,
    @Inject(ModuleRef) moduleRef: ModuleRef,
  ) {
    this.#contexts = contexts;
    this.#moduleRef = moduleRef;
  }

  /** The call of a singleton's method. Enhancers are for single tasks. */
  of(instance: object, key: string | symbol, enhancers: boolean): HandlerCall<Handled> {
    if (enhancers) return this.#enhanced(instance, key) as HandlerCall<Handled>;
    const methods = instance as Record<string | symbol, Method>;
    return (handled) => methods[key]?.(handled);
  }

  /**
   * The call of a request-scoped provider's method. Each task gets a new object, whose `REQUEST` is the task; each batch does, and its
   * `REQUEST` is the array. Durable providers live as long as the app's `ContextIdStrategy` says, which gets the same as its request.
   */
  scoped(wrapper: ProviderWrapper, key: string | symbol, enhancers: boolean): HandlerCall<Handled> {
    return async (handled) => {
      const contextId = ContextIdFactory.getByRequest(handled);
      const request: unknown = contextId.getParent ? contextId.payload : handled;
      this.#moduleRef.registerRequestByContextId(request, contextId);
      const instance = await this.#moduleRef.resolve<object>(wrapper.token, contextId, { strict: false });
      if (enhancers) return this.#enhanced(instance, key, contextId, wrapper.id)(handled as Task);
      return (instance as Record<string | symbol, Method>)[key]?.(handled);
    };
  }

  #enhanced(instance: object, key: string | symbol, contextId?: ContextId, inquirerId?: string): HandlerCall {
    const method = (instance as Record<string | symbol, Method>)[key];
    if (method === undefined) return () => undefined;
    const callback = (_none: null, payload: unknown): unknown => {
      const task = underWay.getStore() as Task;
      return method.call(instance, payload === task.payload ? task : withPayload(task, payload));
    };
    // Nest looks for guards, interceptors, pipes and filters on the function that it calls.
    copyMethodMetadata(method, callback);
    Reflect.defineMetadata(PARAMETERS, PAYLOAD, instance.constructor, key);
    const parameters = {
      exchangeKeyForValue: (_type: number, _data: unknown, args: unknown) => (args as [Task])[0].payload,
    };
    const all = { guards: true, interceptors: true, filters: true };
    const call = this.#contexts.create(
      ...([instance, callback as (...args: unknown[]) => unknown, key as string, PARAMETERS, parameters] as const),
      ...([contextId, inquirerId, all, CONTEXT_TYPE] as const),
    ) as HandlerCall;
    return (task) => underWay.run(task, call, task);
  }
}
