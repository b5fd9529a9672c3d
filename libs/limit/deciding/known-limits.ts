import { isDeepStrictEqual } from 'node:util';
import { SluiceError, badOption, similarTo } from '../../weave/index.js';
import type { RateLimitDefinition, RateLimitRef } from '../define-rate-limit.js';
import {
  checkLimit,
  checkNumbers,
  type LimitNumbers,
  type LimitOfKey,
  type NamedLimitOptions,
  type OnUnavailable,
  type ResolvedLimitOptions,
} from '../limit.options.js';
import type { LimitKind, LimitRule } from '../store/limit-rule.js';
import { Calendar } from './calendar-window.js';

/** One limit of a definition, with configuration added. */
interface Part {
  /** As decisions name it. */
  readonly label: string;
  /** The end of its key. */
  readonly keyName: string;
  readonly limit: number | LimitOfKey;
  readonly kind: LimitKind;
  readonly perMs: number;
  readonly burst: number | undefined;
  readonly calendar: Calendar | undefined;
}

/** A rate limit as this app knows it: its definition, with the options by name above it. */
export class KnownLimit {
  readonly name: string;
  readonly parts: readonly Part[];
  readonly keyNames: readonly string[];
  readonly labels: readonly string[];
  readonly isPaced: boolean;
  readonly onUnavailable: OnUnavailable;
  readonly isDryRun: boolean;
  /** The numbers, if they do not depend on the key. */
  readonly limits: readonly number[] | undefined;
  /** The longest time that units count, in milliseconds. */
  readonly longestMs: number;
  readonly #rules: readonly LimitRule[] | undefined;

  constructor(definition: RateLimitDefinition, options: ResolvedLimitOptions) {
    const { name } = definition;
    const own = options.names[name];
    const given: NamedLimitOptions & { limits?: Record<string, LimitNumbers> } = definition.options;
    this.name = name;
    refuseOptionsWithoutEffect(name, given.limits, options.names);
    this.onUnavailable = own?.onUnavailable ?? given.onUnavailable ?? options.onUnavailable;
    this.isDryRun = own?.dryRun ?? given.dryRun ?? false;
    const mode = own?.mode ?? given.mode;
    this.isPaced = mode === 'pace';
    this.parts =
      given.limits === undefined
        ? [partOf(name, name, added(given, own), mode)]
        : Object.entries(given.limits).map(([part, numbers]) => {
            return partOf(part, `${name}.${part}`, added(numbers, options.names[`${name}.${part}`]), undefined);
          });
    this.keyNames = this.parts.map(({ keyName }) => keyName);
    this.labels = this.parts.map(({ label }) => label);
    const limits = this.parts.map(({ limit }) => limit);
    this.limits = limits.every((limit) => typeof limit === 'number') ? limits : undefined;
    this.longestMs = Math.max(
      ...this.parts.map(
        ({ perMs, burst, limit }) =>
          perMs * Math.max(1, typeof limit === 'number' ? (burst ?? 0) / limit : (burst ?? 0)),
      ),
    );
    const isFixed = this.parts.every(({ calendar }) => calendar === undefined);
    this.#rules = isFixed && this.limits !== undefined ? this.#rulesOf(this.limits, 0) : undefined;
  }

  /** The numbers for one key. */
  async limitsOf(key: string): Promise<readonly number[]> {
    return Promise.all(
      this.parts.map(async ({ limit, keyName }) => {
        return typeof limit === 'number' ? limit : checkLimit(await limit(key), `the limit of '${keyName}' for a key`);
      }),
    );
  }

  /** @param nowMs the wall clock, for windows of a calendar */
  rules(limits: readonly number[], nowMs: number): readonly LimitRule[] {
    return limits === this.limits && this.#rules !== undefined ? this.#rules : this.#rulesOf(limits, nowMs);
  }

  #rulesOf(limits: readonly number[], nowMs: number): LimitRule[] {
    return this.parts.map((part, i) => ruleOf(part, limits[i] ?? 1, nowMs));
  }
}

function partOf(label: string, keyName: string, numbers: LimitNumbers, mode: 'pace' | undefined): Part {
  checkNumbers(`rate limit '${keyName}'`, numbers, mode);
  const { limit, perMs, window, timeZone = 'UTC', algorithm = 'sliding', burst } = numbers;
  if (limit === undefined) throw new SluiceError('SLUICE_BAD_OPTION', `rate limit '${keyName}': limit must be given`);
  const kinds = { sliding: 's', bucket: 'b', fixed: 'f' } as const;
  const calendar = window === undefined ? undefined : new Calendar(window, timeZone);
  let kind: LimitKind = mode === undefined ? kinds[algorithm] : 'p';
  if (calendar !== undefined) kind = 'c';
  const longest = { day: 1, week: 7, month: 31 }[window ?? 'day'] * 86_400_000;
  return { label, keyName, limit, kind, perMs: perMs ?? longest, burst, calendar };
}

/** Refuses options by name that no limit of the definition would use. */
function refuseOptionsWithoutEffect(
  name: string,
  limits: Record<string, LimitNumbers> | undefined,
  names: Readonly<Record<string, NamedLimitOptions>>,
): void {
  const parts = Object.keys(limits ?? {});
  const known = parts.map((part) => `limit.names['${name}.${part}']`).join(', ');
  for (const other of Object.keys(names)) {
    const part = other.startsWith(`${name}.`) ? other.slice(name.length + 1) : undefined;
    if (part === undefined || parts.includes(part)) continue;
    const message = `limit.names['${other}']: rate limit '${name}' has no limit '${part}'${known && `; its limits are ${known}`}`;
    throw new SluiceError('SLUICE_BAD_OPTION', message);
  }
  const wrong = limits && Object.keys(names[name] ?? {}).find((option) => !SHARED.includes(option));
  if (wrong === undefined) return;
  const message = `limit.names['${name}'].${wrong}: rate limit '${name}' has several limits; give the option to one of ${known}`;
  throw new SluiceError('SLUICE_BAD_OPTION', message);
}

/** The options that the limits of one definition have in common. */
const SHARED = ['onUnavailable', 'dryRun'];

/** Configuration on top of the code. A window of another kind takes the place of the one in the code. */
function added(numbers: LimitNumbers, named: NamedLimitOptions | undefined): LimitNumbers {
  if (named === undefined) return numbers;
  const { perMs, window, timeZone, ...rest } = numbers;
  const kept = named.perMs !== undefined || named.window !== undefined ? {} : { perMs, window, timeZone };
  const all = { ...rest, ...kept, ...named };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Longer units are whole µs, so that a bucket's arithmetic is exact. Shorter ones are a trifle longer, never shorter. */
const WHOLE_FROM_US = 1_000;

function ruleOf({ kind, perMs, burst, calendar }: Part, limit: number, nowMs: number): LimitRule {
  if (calendar !== undefined) {
    const { startMs, endMs } = calendar.at(nowMs);
    return { kind, limit, spanUs: (endMs - startMs) * 1_000, x: startMs * 1_000, y: endMs * 1_000 };
  }
  const spanUs = Math.ceil(perMs * 1_000);
  if (kind !== 'b' && kind !== 'p') return { kind, limit, spanUs, x: 0, y: 0 };
  const each = spanUs / limit;
  return {
    kind,
    limit,
    spanUs,
    x: each < WHOLE_FROM_US ? each : Math.ceil(each),
    y: burst ?? (kind === 'p' ? 1 : limit),
  };
}

/** The rate limits of one app, by definition and by name. */
export class KnownLimits {
  readonly #options: ResolvedLimitOptions;
  readonly #byRef = new Map<RateLimitRef, KnownLimit>();
  readonly #definitions = new Map<string, RateLimitDefinition>();

  constructor(options: ResolvedLimitOptions) {
    this.#options = options;
  }

  /** @throws SluiceError `SLUICE_BAD_OPTION`: an unknown name, or another definition of a known name */
  get(ref: RateLimitRef): KnownLimit {
    return this.#byRef.get(ref) ?? this.#learn(ref);
  }

  #learn(ref: RateLimitRef): KnownLimit {
    const definition = typeof ref === 'string' ? this.#configured(ref) : ref;
    if (!isDefinition(definition))
      throw badOption('a rate limit', 'made by defineRateLimit, or the name of an entry of limit.names', ref);
    const first = this.#definitions.get(definition.name);
    if (first !== undefined && first !== definition && !isDeepStrictEqual(first.options, definition.options)) {
      const message =
        `rate limit '${definition.name}' has two definitions with different options. ` +
        'Define it once with defineRateLimit, and import that, or give one of them another name';
      throw new SluiceError('SLUICE_BAD_OPTION', message);
    }
    const known = (first && this.#byRef.get(first)) ?? new KnownLimit(definition, this.#options);
    if (first === undefined) this.#definitions.set(definition.name, definition);
    this.#byRef.set(ref, known);
    this.#byRef.set(definition, known);
    return known;
  }

  #configured(name: string): RateLimitDefinition {
    const defined = this.#definitions.get(name);
    if (defined !== undefined) return defined;
    const options = Object.hasOwn(this.#options.names, name) ? this.#options.names[name] : undefined;
    if (options?.limit !== undefined) return { name, options: { ...options, limit: options.limit } };
    const meant = similarTo(name, [...Object.keys(this.#options.names), ...this.#definitions.keys()]);
    const hint = meant.length > 0 ? ` Did you mean ${meant.map((each) => `'${each}'`).join(' or ')}?` : '';
    const message = `there is no rate limit '${name}' in limit.names. Name one there, or use defineRateLimit.${hint}`;
    throw new SluiceError('SLUICE_BAD_OPTION', message);
  }
}

function isDefinition(value: unknown): value is RateLimitDefinition {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'options' in value
  );
}
