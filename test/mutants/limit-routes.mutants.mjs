/** Faults in what limits routes and methods, and in what their callers are told. */
const guardSpec = 'libs/limit/routes/rate-limit.guard';
const of = (name, spec = `libs/limit/routes/${name}`) => ({ file: `libs/limit/routes/${name}.ts`, specs: [spec] });
const guard = of('rate-limit.guard');
const plan = of('route-plan', guardSpec);
const charged = { file: 'libs/limit/decorators/charged-call.ts', specs: [guardSpec] };
const count = { ...charged, specs: ['libs/limit/routes/count.spec'] };
const outcomes = of('outcomes', 'libs/limit/routes/count.spec');
const address = of('client-address');
const headers = of('rate-limit-headers');
const explorerSpec = 'libs/limit/decorators/rate-limit.explorer';
const checks = { file: 'libs/limit/decorators/rate-limit-checks.ts', specs: [explorerSpec] };
const explorer = { file: 'libs/limit/decorators/rate-limit.explorer.ts', specs: [explorerSpec] };
const woven = { specs: ['libs/limit/decorators/rate-limit.decorator'] };

export default [
  {
    ...guard,
    name: 'each guard of a call charges it',
    find: ' || (context as Marked)[CHARGED] === true) return true;',
    replace: ') return true;',
  },
  {
    ...guard,
    name: 'the guard of a route enforces the limits of all routes',
    find: 'planOf(this.#service, handler, owner, this.#isGlobal)',
    replace: 'planOf(this.#service, handler, owner, true)',
  },
  {
    ...guard,
    name: "the guard of the decorator answers before the app's own",
    find: 'plan = defers ? [] :',
    replace: 'plan =',
  },
  {
    ...guard,
    name: 'a refusal need not say when to come again',
    find: "this.#setHeader(context, 'Retry-After'",
    replace: "this.#setHeader(context, 'X-Retry-After'",
    specs: ['libs/limit/routes/rate-limit-headers'],
  },
  {
    ...plan,
    name: 'a limit of the class and of the route counts twice',
    find: 'if (isSkipped || planned.has(known.name)) continue;',
    replace: 'if (isSkipped) continue;',
  },
  {
    ...plan,
    name: 'a route cannot skip the limits of its class',
    find: 'add(declaredLimits(owner), ownSkips);',
    replace: 'add(declaredLimits(owner));',
  },
  {
    ...plan,
    name: 'a call that is no route is limited as if it were one',
    find: 'if (routeKindsOf(metadataOf(handler)).length === 0) return NONE;',
    replace: 'if (routeKindsOf(metadataOf(handler)).length > 9) return NONE;',
  },
  {
    ...charged,
    name: 'what earlier limits took stays taken after a refusal',
    find: 'call.cancel();\n      return refused;',
    replace: 'return refused;',
  },
  {
    ...charged,
    name: 'limits of one key are asked one after the other',
    find: 'if (group === undefined) groups.push(groupOf(limit));\n    else group.members.push(limit.known);',
    replace: 'void group;\n    groups.push(groupOf(limit));',
  },
  {
    ...charged,
    name: 'limits of one key are asked together, whatever the call costs',
    find: 'key === limit.key && cost === limit.cost && count',
    replace: 'key === limit.key && count',
    specs: ['libs/limit/decorators/charged-call'],
  },
  {
    ...count,
    name: 'units are given back for the outcome that counts',
    find: 'count !== undefined && count !== counted',
    replace: 'count !== undefined && count === counted',
  },
  {
    ...outcomes,
    name: 'a status of 422 is a success',
    find: 'const FAILED_FROM = 400;',
    replace: 'const FAILED_FROM = 500;',
  },
  {
    ...outcomes,
    name: 'a call that another guard refuses has no outcome',
    find: "if (context.getType() !== 'http') return;\n",
    replace: 'return;\n',
  },
  {
    ...address,
    name: 'every IPv6 address is a client of its own',
    find: 'const GROUPS_KEPT = 4;',
    replace: 'const GROUPS_KEPT = 8;',
  },
  {
    ...address,
    name: 'an IPv4 address in IPv6 notation is an IPv6 address',
    find: 'groups[5] === 0xffff',
    replace: 'groups[5] === 0x1ffff',
  },
  {
    ...address,
    name: 'each request behind a proxy is warned of',
    find: 'this.#hasWarned = true;',
    replace: '',
  },
  {
    ...address,
    name: 'each connection of a client behind a proxy that writes ports is a client of its own',
    find: 'return v4 ?? v6 ?? address;',
    replace: 'return v6 ?? address;',
  },
  {
    ...address,
    name: 'a server that trusts everybody knows the addresses of its clients',
    find: 'if (Boolean(trusted) && trusted !== true) return;',
    replace: 'if (Boolean(trusted)) return;',
  },
  {
    ...headers,
    name: 'a refused client may come again after all units are back',
    find: 'Math.min(seconds(resetMs), latest)',
    replace: 'Math.max(seconds(resetMs), latest === Infinity ? 0 : latest)',
  },
  {
    ...headers,
    name: 'a window of a second and a half is one of two seconds',
    find: "perMs % 1_000 === 0 ? `;w=${perMs / 1_000}` : ''",
    replace: '`;w=${seconds(perMs)}`',
  },
  {
    ...headers,
    file: 'libs/limit/routes/refusal.exception.ts',
    name: 'a client is to blame for an outage',
    find: "decision.decidedBy !== 'policy'",
    replace: "decision.decidedBy !== 'redis'",
  },
  {
    ...checks,
    name: 'a function of arguments may stand on a route',
    find: "if (typeof value !== 'function' || isContextFunction(value)) continue;",
    replace: "if (typeof value !== 'function' || isContextFunction(value) || name !== '') continue;",
  },
  {
    ...checks,
    name: 'a limit that another decorator lost is enforced all the same',
    find: 'limits.some((limit) => !kept.includes(limit))',
    replace: 'limits.some((limit) => kept.includes(limit) && kept.length > 9)',
  },
  {
    ...explorer,
    name: 'limits of all routes need no guard',
    find: 'routes.length > 0 && hasRoutes && !this.#hasGuard()',
    replace: 'routes.length > 0 && !hasRoutes && !this.#hasGuard()',
  },
  {
    ...explorer,
    name: 'a name that skips nothing is no mistake',
    find: 'skips.find((name) => !names.includes(name))',
    replace: "skips.find((name) => name === '')",
  },
  {
    ...woven,
    file: 'libs/limit/rate-limit.service.ts',
    name: 'a reset leaves the refusals of several limits',
    find: 'for (const name of known.jointNames) this.#refusals.delete(',
    replace: 'for (const name of []) this.#refusals.delete(',
  },
  {
    ...woven,
    file: 'libs/limit/deciding/decisions.ts',
    name: 'a limit with room has refused what another refused',
    find: 'if (isRefused && violated.length === 0) continue;',
    replace: '',
  },
  {
    ...woven,
    file: 'libs/limit/deciding/known-limit.ts',
    name: 'limits and keys that read alike are one',
    find: 'return `${name}"${key}`;',
    replace: 'return `${name} ${key}`;',
  },
  {
    file: 'libs/limit/deciding/known-limit.ts',
    name: 'a limit that is tried out is asked with others',
    find: 'return this.onUnavailable === other.onUnavailable && this.isDryRun === other.isDryRun;',
    replace: 'return this.onUnavailable === other.onUnavailable;',
    specs: [guardSpec],
  },
  {
    file: 'libs/weave/methods/weave-method.ts',
    name: 'a decorator that is idle on a method runs all the same',
    find: 'return isIdle ? Reflect.apply(original, self, args) : enter(original, self, args);',
    replace: 'return enter(original, self, args);',
    specs: ['libs/weave/methods/weave-method'],
  },
  {
    ...explorer,
    name: 'a resolver that a factory made has the guards of its class',
    find: 'if (isResolverOpen && isNotMetatype && !wrapper.isAlias) this.#checkMade(wrapper.instance);',
    replace: '',
  },
  {
    ...explorer,
    name: 'a global guard does not limit a resolver that a factory made',
    find: 'this.#graphqlOptions().length > 0 && !this.#hasGuard()',
    replace: 'this.#graphqlOptions().length > 0',
  },
  {
    ...explorer,
    name: 'another name of a resolver is a resolver that a factory made',
    find: 'isNotMetatype && !wrapper.isAlias',
    replace: 'isNotMetatype',
  },
  {
    ...explorer,
    name: 'a test may put nothing in the place of a global guard',
    find: ' || isGuardClass(token);',
    replace: ';',
    specs: ['libs/limit/routes/in-tests'],
  },
  {
    ...guard,
    name: 'a client that left keeps its turn',
    find: 'plan.some(({ known }) => known.isPaced) ? watchClient(context) : undefined',
    replace: 'plan.length < 0 ? watchClient(context) : undefined',
    specs: ['libs/limit/routes/leaving'],
  },
  {
    ...charged,
    name: 'who leaves in time is charged by no limit',
    find: 'if (signal?.aborted === true) call.leave();\n    else call.cancel();',
    replace: 'call.cancel();',
    specs: ['libs/limit/routes/leaving'],
  },
  {
    file: 'libs/limit/routes/client-leaves.ts',
    name: 'a client that left before takes a turn',
    find: 'if (response.closed === true) left();',
    replace: '',
    specs: ['libs/limit/routes/leaving'],
  },
  {
    ...plan,
    name: 'a client that left is a wrong configuration',
    find: 'if (hasLeft(context)) throw new ClientLeftException();',
    replace: '',
    specs: ['libs/limit/routes/leaving'],
  },
  {
    name: 'a limit of a field that has no guards is taken for one',
    file: 'libs/limit/decorators/rate-limit.explorer.ts',
    find: 'if (all.length === 0 || all.some(hasFieldGuards)) return;',
    replace: 'if (all.length >= 0) return;',
    specs: ['libs/limit/decorators/rate-limit.explorer'],
  },
];
