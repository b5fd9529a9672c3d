/** Compile-only: the decorators on the methods of generic base classes. */
import { CacheEvict, CachePut, CacheStampedeSafe } from '../../libs/cache/index.js';
import { WithLock } from '../../libs/lock/index.js';
import { defineQueue, TaskHandler, type Task } from '../../libs/queue/index.js';

interface Entity {
  readonly id: string;
}

const Saved = defineQueue<Entity>('saved');

export abstract class Crud<T extends Entity, Id extends string> {
  readonly table: string = 'rows';

  @WithLock((entity: Entity) => `entity:${entity.id}`)
  async save(entity: T): Promise<T> {
    return entity;
  }

  @WithLock(function (this: Crud<Entity, string>, entity: Entity) {
    return `${this.table}:${entity.id}`;
  })
  async saveInTable(entity: T, note: string): Promise<T | string> {
    return note || entity;
  }

  @WithLock((id: string) => id, { onBusy: 'skip' })
  async touch(id: T['id']): Promise<T | undefined> {
    return this.find(id);
  }

  @WithLock((id: string) => id)
  async lockById(id: Id): Promise<T | undefined> {
    return this.find(id);
  }

  abstract idOf(entity: T): Id;

  @CacheStampedeSafe({
    key: (id: string) => id,
    tags: (id: string) => [id],
    when: (id: string) => id !== '',
    unless: (result: Entity | undefined) => result === undefined,
  })
  async find(_id: T['id']): Promise<T | undefined> {
    return undefined;
  }

  @CacheEvict({ key: (entity: Entity) => entity.id, unless: (result: Entity) => result.id === '' })
  async update(entity: T): Promise<T> {
    return entity;
  }

  @CachePut({ key: (entity: Entity) => entity.id, resultTags: (result: Entity) => [result.id] })
  async create(entity: T): Promise<T> {
    return entity;
  }

  @CachePut({ key: (entity: Entity) => entity.id })
  async replace(entity: T): Promise<T> {
    return entity;
  }

  @CacheEvict({ tags: (entities: readonly Entity[]) => entities.map(({ id }) => id) })
  async updateAll(entities: T[]): Promise<void> {
    await this.update(entities[0] as T);
  }

  @WithLock((entity: { id: string }) => entity.id)
  async generic<O extends Entity>(entity: O): Promise<O> {
    return entity;
  }

  @TaskHandler(Saved)
  async handle(task: Task<Entity>): Promise<void> {
    await this.find(task.payload.id);
  }

  @TaskHandler('entities')
  async handleOwn(task: Task<T>): Promise<void> {
    await this.update(task.payload);
  }

  // @ts-expect-error the entity has no number
  @WithLock((entity: { id: number }) => String(entity.id))
  async otherField(entity: T): Promise<T> {
    return entity;
  }

  // @ts-expect-error the subclass may have an entity without a name
  @CacheEvict({ key: (entity: { id: string; name: string }) => entity.name })
  async noSuchField(entity: T): Promise<T> {
    return entity;
  }

  // @ts-expect-error what takes the result does not take an entity
  @CacheEvict({ key: () => 'x', unless: (result: number) => result === 0 })
  async otherResult(entity: T): Promise<T> {
    return entity;
  }
}
