import { badOption, clip } from '../../weave/index.js';
import { InvalidPayloadError, type PayloadIssue } from '../queue.errors.js';

/**
 * The interface that schema libraries have in common. Schemas of zod, valibot, arktype and others have it.
 *
 * @see https://standardschema.dev
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** How many issues are kept. A list of a million wrong items has a million issues, and each may become a line in a log. */
const ISSUES_MAX = 100;

/** The type of the values that a schema accepts. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input'];
/** The type of the values that a schema returns. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

/** Whether a value is such a schema. Schemas of some libraries are functions. */
export function isSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const { '~standard': standard } = value as Partial<StandardSchema>;
  return typeof standard === 'object' && typeof standard.validate === 'function';
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkSchema(value: unknown, path: string): StandardSchema {
  if (isSchema(value)) return value;
  throw badOption(path, 'a Standard Schema, as of zod, valibot or arktype', value);
}

/**
 * Validates a payload. Resolves to the value that the schema returns for it.
 *
 * @throws InvalidPayloadError `SLUICE_QUEUE_INVALID_PAYLOAD` for a publish, `SLUICE_TASK_BAD_PAYLOAD` for a run of a handler
 */
export async function checked(
  schema: StandardSchema,
  payload: unknown,
  where: { queue: string; root: string; at: 'publish' | 'handle' },
): Promise<unknown> {
  const { issues, value } = await validated(schema, payload, where.root);
  if (issues === undefined) return value;
  throw new InvalidPayloadError(where.queue, issues, where.at);
}

/** Validates a value. Resolves to the value that the schema returns for it, or to what is wrong with it. `root` is its name there. */
export async function validated(
  schema: StandardSchema,
  value: unknown,
  root: string,
): Promise<{ value?: unknown; issues?: readonly PayloadIssue[] }> {
  const result = await schema['~standard'].validate(value);
  return result.issues === undefined ? { value: result.value } : { issues: issuesOf(result.issues, root) };
}

/**
 * Validates a payload that is to be published, at once if the schema can.
 *
 * @returns a promise if the schema needs one
 * @throws InvalidPayloadError `SLUICE_QUEUE_INVALID_PAYLOAD`; the promise rejects with it
 */
export function checkSoon(schema: StandardSchema, payload: unknown, queue: string): Promise<void> | undefined {
  const decide = ({ issues }: SchemaResult<unknown>): void => {
    if (issues !== undefined) throw new InvalidPayloadError(queue, issuesOf(issues, 'payload'), 'publish');
  };
  const result = schema['~standard'].validate(payload);
  if (result instanceof Promise) return result.then(decide);
  decide(result);
  return undefined;
}

function issuesOf(issues: readonly SchemaIssue[], root: string): PayloadIssue[] {
  return issues.slice(0, ISSUES_MAX).map((issue) => readable(issue, root));
}

function readable({ message, path = [] }: SchemaIssue, root: string): PayloadIssue {
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  const steps = keys.map((key) => {
    if (typeof key === 'number' || /^\d+$/.test(String(key))) return `[${String(key)}]`;
    return /^[A-Za-z_$][\w$]*$/.test(String(key)) ? `.${String(key)}` : `[${JSON.stringify(String(key))}]`;
  });
  return { path: clip(root + steps.join('')), message: clip(message) };
}
