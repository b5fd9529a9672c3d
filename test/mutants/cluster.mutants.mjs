/** Faults in what keeps every call within one slot, and in the check of a server in cluster mode. */
const cluster = { specs: ['libs/redis/cluster'] };
const serverSlots = { ...cluster, file: 'libs/redis/cluster/server-slots.ts' };
const slotProbe = { ...cluster, file: 'libs/redis/cluster/slot-probe.ts' };
const clusterMode = { ...cluster, file: 'libs/redis/cluster/cluster-mode.ts' };

export default [
  {
    ...cluster,
    file: 'libs/redis/cluster/slot.ts',
    name: 'an empty hash tag is one',
    find: 'close > open + 1',
    replace: 'close > open',
  },
  {
    ...serverSlots,
    name: 'a server of which nothing is known takes keys of several slots',
    find: 'return this.#knows ?? true;',
    replace: 'return this.#knows ?? false;',
  },
  {
    ...serverSlots,
    name: 'after a reconnect, the server counts as the one before',
    find: 'this.#knows = undefined;',
    replace: '',
  },
  {
    ...slotProbe,
    name: 'a proxy that says it is one server is believed',
    find: "if (isReplyError(error, 'CROSSSLOT')) return true;",
    replace: '',
  },
  {
    ...slotProbe,
    name: 'a user without rights to find out gets calls over several slots',
    find: '(await this.#refusesTwoSlots()) ?? true',
    replace: '(await this.#refusesTwoSlots()) ?? false',
  },
  {
    ...slotProbe,
    name: 'the two keys of the probe may have one slot',
    find: 'return [`${first}~`, `${second}~`];',
    replace: 'return [`${first}~`, `${first}~~`];',
  },
  {
    ...slotProbe,
    name: 'two keys of the probe that happen to share a slot are taken',
    find: 'slotOf(second) === slotOf(first);',
    replace: 'second === first;',
  },
  {
    ...clusterMode,
    name: 'a node with some of the slots is used',
    find: 'if (slots === CLUSTER_SLOTS) return undefined;',
    replace: 'if (slots > 0) return undefined;',
  },
  {
    ...clusterMode,
    name: 'another database than 0 is accepted in cluster mode',
    find: 'if (db !== 0) {',
    replace: 'if (false) {',
  },
  {
    ...clusterMode,
    name: 'the slots of other nodes are counted',
    find: "line.split(' ')[2]?.split(',').includes('myself')",
    replace: "line.includes('connected')",
  },
  {
    ...clusterMode,
    name: 'a slot that stands alone is not counted',
    find: 'last = first]',
    replace: 'last = Number(first) - 1]',
  },
  {
    ...cluster,
    file: 'libs/redis/access/server-fitness.ts',
    name: 'a server of a Cluster that is found while the app runs takes commands',
    find: 'link.refuse(`is of no use: ${error.message}`);',
    replace: '',
  },
  {
    ...cluster,
    file: 'libs/redis/access/server-fitness.ts',
    name: 'a server of a Cluster that is found while the app runs is looked at once only',
    find: '        checked = false;\n        link.refuse',
    replace: '        link.refuse',
  },
  {
    ...cluster,
    file: 'libs/redis/connection/link.ts',
    name: 'a server of a Cluster is refused for good',
    find: 'this.#lastError = this.#unusable = undefined;',
    replace: 'this.#lastError = undefined;',
  },
  {
    ...cluster,
    file: 'libs/redis/connection/server-errors.ts',
    name: 'a slot that the server has lost is not explained',
    find: "if (reply.startsWith('MOVED')) {",
    replace: 'if (false) {',
  },
  {
    ...cluster,
    file: 'libs/redis/script/script.ts',
    name: 'a server that knows slots gets the script that trusts counts of PUBLISH',
    find: 'inCluster !== undefined && link.slots.knowsSlots ?',
    replace: 'inCluster !== undefined && false ?',
  },
  {
    ...cluster,
    file: 'libs/redis/script/script.ts',
    name: 'a script of which the server knows nothing is sent as the text for one server',
    find: 'args[0] === inCluster.sha ?',
    replace: 'inCluster !== undefined && false ?',
  },
];
