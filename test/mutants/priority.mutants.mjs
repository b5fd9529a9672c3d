/** Faults in the levels of a queue's priority: their shares, their groups, what is refused, and the operations on all of them. */
const specs = ['libs/queue/priority/priority.spec'];
const script = { file: 'libs/queue/store/scripts/publish-level.script.ts', specs };
const turns = { file: 'libs/queue/priority/share-turns.ts', specs: ['libs/queue/priority/share-turns'] };
const levels = { file: 'libs/queue/admin/levels-of-queue.ts', specs };
const options = ['libs/queue/priority/priority.options'];

export default [
  {
    ...script,
    name: 'a group that the level lacks misses its tasks',
    find: "redis.call('XGROUP', 'CREATE', stream, row[2], '0', 'MKSTREAM')",
    replace: '',
  },
  {
    ...script,
    name: 'a group is made that is there already',
    find: 'if not known[row[2]] then',
    replace: 'if true then',
  },
  {
    ...script,
    name: 'a key of another type stops the publish in the middle',
    specs: ['libs/queue/priority/priority.costs'],
    find: "if not mayDelay() then return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else') end\n",
    replace: '',
  },
  {
    ...script,
    name: 'a task of a level cannot be found by its id',
    find: '    indexEntry(index, handle, id)\n',
    replace: '',
  },
  {
    ...turns,
    name: 'who had nothing to do has a claim to the time before',
    find: 'return Math.max(this.#line, this.#marks.get(member) ?? 0);',
    replace: 'return this.#marks.get(member) ?? 0;',
  },
  {
    ...turns,
    name: 'all levels have the same share',
    find: 'this.#markOf(member) + places / this.#shareOf(member)',
    replace: 'this.#markOf(member) + places',
  },
  {
    ...turns,
    name: 'the smallest share begins',
    find: 'this.#shareOf(member) > this.#shareOf(best)',
    replace: 'this.#shareOf(member) < this.#shareOf(best)',
  },
  {
    name: 'what a level reads is not divided by the shares',
    file: 'libs/queue/worker/loops/read-counts.ts',
    specs,
    find: 'if (isLevelled(worker)) this.#turnsOf(worker).took(',
    replace: 'if (isLevelled(worker)) void this.#turnsOf(worker); else this.#turnsOf(worker).took(',
  },
  {
    ...levels,
    name: 'a search looks at one level only',
    find: 'for (const place of this.#placesOf(queue)) if (await step(place)) return true;',
    replace: 'for (const place of this.#placesOf(queue).slice(0, 1)) if (await step(place)) return true;',
  },
  {
    ...levels,
    name: 'a purge leaves the levels',
    find: 'await Promise.all(this.#placesOf(queue).map((place) => this.#on.purge(place, state, group)))',
    replace: '[await this.#on.purge(queue, state, group)]',
  },
  {
    name: 'a pause that waits does not wait for the levels',
    file: 'libs/queue/admin/queue.operations.ts',
    specs,
    find: 'return [...levels, ...retries];',
    replace: 'return retries;',
  },
  {
    name: 'a process without shares drops a group of the level normal alone',
    file: 'libs/queue/admin/queue-groups.ts',
    specs,
    find: 'for (const place of placesOf(this.#queue)) dropped',
    replace: 'for (const place of [this.#queue]) dropped',
  },
  {
    name: 'a wait for a result looks beside the stream of the level normal',
    file: 'libs/queue/results/awaited-publisher.ts',
    specs: ['libs/queue/priority/priority.results'],
    find: "placeOf(queue, options.priority ?? 'normal')",
    replace: 'queue',
  },
  {
    name: 'a wait asks for a level that the queue does not have',
    file: 'libs/queue/results/awaited-publisher.ts',
    specs: options,
    find: 'refuseUnlevelled(ref, queue, [options], levels);',
    replace: '',
  },
  {
    name: 'a level has a pause of its own',
    file: 'libs/queue/store/queue.keys.ts',
    specs,
    find: "paused: common('paused'),",
    replace: "paused: side('paused'),",
  },
  {
    name: 'a priority on a queue without levels is ignored',
    file: 'libs/queue/limits/queue-shares.ts',
    specs: options,
    find: 'if (sharesOfQueue(queue, name) !== undefined) return;',
    replace: 'return;',
  },
  {
    name: 'a publish under a key ignores its priority',
    file: 'libs/queue/publish/publish.options.ts',
    specs: options,
    find: 'if (priority === undefined) return;',
    replace: 'return;',
  },
  {
    name: 'a caller names a level of the raw protocol',
    file: 'libs/queue/queue.raw.ts',
    specs: options,
    find: "queueKeys(this.#keyspace, checkName('queue', stream)).stream",
    replace: 'queueKeys(this.#keyspace, stream).stream',
  },
  {
    name: 'limits of the fleet and batches are for each level',
    file: 'libs/queue/handlers/handler.registry.ts',
    specs: options,
    find: 'if (shares !== undefined) refuseWithLevels(site, queue, options);',
    replace: '',
  },
  {
    name: 'a test runs a task once for each level',
    file: 'libs/testing/in-process/testing-queue.ts',
    specs: ['libs/testing/in-process/testing-priority'],
    find: '.filter(({ place, queue }) => place === queue)',
    replace: '',
  },
];
