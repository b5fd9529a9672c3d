/** How Nest calls a route: its transport. */
export type RouteKind = 'http' | 'graphql' | 'ws' | 'rpc';

/** Reads what decorators wrote on a method. */
export type ReadMetadata = (key: string) => unknown;

/** The metadata of Nest's packages by which a method is a route. The packages are optional, so that their names stand here. */
const HTTP = ['path', 'method'];
const FIELD = ['graphql:resolve_property', 'graphql:resolve_reference'];
const GRAPHQL = ['graphql:resolver_type', ...FIELD];
const WS = 'websockets:message_mapping';
const RPC = 'microservices:handler_type';

/** The transports of a method; none: it is not a route. One method may have several. */
export function routeKindsOf(metadata: ReadMetadata): RouteKind[] {
  const has = (key: string): boolean => metadata(key) !== undefined;
  const kinds: RouteKind[] = [];
  if (HTTP.every(has)) kinds.push('http');
  if (GRAPHQL.some(has)) kinds.push('graphql');
  if (has(WS)) kinds.push('ws');
  if (has(RPC)) kinds.push('rpc');
  return kinds;
}

/** Whether a method resolves a field or a reference of GraphQL, and not a query, a mutation or a subscription. */
export function isField(metadata: ReadMetadata): boolean {
  return FIELD.some((key) => metadata(key) !== undefined);
}

/** Reads the metadata of a function. */
export function metadataOf(fn: unknown): ReadMetadata {
  return (key): unknown => (typeof fn === 'function' ? Reflect.getMetadata(key, fn) : undefined);
}
