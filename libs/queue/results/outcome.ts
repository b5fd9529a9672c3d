import { isSluiceError } from '../../weave/index.js';
import {
  TaskFailedError,
  TaskResultError,
  type FailedHow,
  type PayloadTooLargeError,
  type UnserializablePayloadError,
} from '../queue.errors.js';
import { describeError } from '../task/describe-error.js';
import { encodePayload } from '../task/payload.js';
import { validated, type StandardSchema } from '../task/standard-schema.js';

/**
 * How a task has ended, as its process sends it: `returned` with the result as JSON ('' for undefined), `failed` with a
 * {@link Failure} as JSON, or `unsendable` with the reason as text: the task is done, and its result cannot be sent.
 */
export interface Outcome {
  readonly kind: 'returned' | 'failed' | 'unsendable';
  readonly text: string;
}

interface Failure {
  readonly how: FailedHow;
  readonly reason: string;
  readonly error: string;
  readonly attempts: number;
}

/** An outcome; undefined for what is none, as of a newer release. */
export function outcomeOf(kind: string, text: string): Outcome | undefined {
  return kind === 'returned' || kind === 'failed' || kind === 'unsendable' ? { kind, text } : undefined;
}

/** What a handler returned, as it is sent. It never throws: the task is done, whatever the result is. */
export function returnedOutcome(value: unknown, maxBytes: number): Outcome {
  if (value === undefined) return { kind: 'returned', text: '' };
  try {
    return { kind: 'returned', text: encodePayload(value, 'result', maxBytes) };
  } catch (error) {
    return { kind: 'unsendable', text: whyUnsendable(error) };
  }
}

function whyUnsendable(error: unknown): string {
  if (isSluiceError(error, 'SLUICE_QUEUE_UNSERIALIZABLE')) {
    const { path, what } = error as UnserializablePayloadError;
    return `${path} ${what}`;
  }
  if (isSluiceError(error, 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE')) {
    const { bytes, maxBytes } = error as PayloadTooLargeError;
    return `it is at least ${bytes} bytes as JSON, more than queue.maxPayloadBytes (${maxBytes})`;
  }
  return describeError(error).error.toString();
}

/** The outcome of a task whose handler took it with others: such a handler has no result for one task. */
export function batchedOutcome(): Outcome {
  return { kind: 'unsendable', text: 'its handler takes batches, which have no results' };
}

/** The outcome of a task that its handler dropped. */
export function droppedOutcome(thrown: unknown, attempts: number): Outcome {
  return failedOutcome({ how: 'dropped', reason: 'dropped', error: describeError(thrown).error.toString(), attempts });
}

/** The outcome of a task that has ended without a result. */
export function failedOutcome(failure: Failure): Outcome {
  return { kind: 'failed', text: JSON.stringify(failure) };
}

/**
 * What the waiting publisher gets.
 *
 * @throws TaskFailedError, TaskResultError
 */
export async function resultOf(
  { kind, text }: Outcome,
  { queue, taskId }: { queue: string; taskId: string },
  schema: StandardSchema | undefined,
): Promise<unknown> {
  if (kind === 'failed') throw new TaskFailedError({ queue, taskId, ...(JSON.parse(text) as Failure) });
  if (kind === 'unsendable') throw new TaskResultError(queue, taskId, text);
  const value: unknown = text === '' ? undefined : JSON.parse(text);
  if (schema === undefined) return value;
  const { issues, value: checked } = await validated(schema, value, 'result');
  if (issues === undefined) return checked;
  const what = issues.slice(0, ISSUES_SHOWN).map(({ path, message }) => `${path}: ${message}`);
  throw new TaskResultError(queue, taskId, `the queue's result schema refuses it: ${what.join('; ')}`, issues);
}

/** How many issues the message has. */
const ISSUES_SHOWN = 10;
