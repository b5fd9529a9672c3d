import { SluiceError } from '../../weave/index.js';
import type { RateLimitDefinition } from '../define-rate-limit.js';
import {
  checkLimit,
  checkNumbers,
  type LimitNumbers,
  type LimitOfKey,
  type NamedLimitOptions,
  type OnUnavailable,
} from '../limit.options.js';
import type { ResolvedLimitOptions } from '../limit-module.options.js';
import type { LimitKind, LimitRule } from '../store/limit-rule.js';
import { Calendar } from './calendar-window.js';

/** One limit of a definition, with configuration added. */
export interface LimitPart {
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

/** What this process calls the limit of one key. No name contains a quotation mark. */
export function limitId(name: string, key: string): string {
  return `${name}"${key}`;
}

/** How the limits of one name are enforced. */
interface Enforcement {
  readonly isPaced: boolean;
  readonly onUnavailable: OnUnavailable;
  readonly isDryRun: boolean;
}

/**
 * A rate limit as this app knows it: its definition, with the options by name above it. Or several of them that a call asks
 * together, because they are limits of one key.
 */
export class KnownLimit implements Enforcement {
  readonly name: string;
  readonly parts: readonly LimitPart[];
  readonly keyNames: readonly string[];
  readonly labels: readonly string[];
  readonly isPaced: boolean;
  readonly onUnavailable: OnUnavailable;
  readonly isDryRun: boolean;
  /** The rate limits that are asked together under this name. Empty: this is one rate limit. */
  readonly members: readonly KnownLimit[];
  /** The names under which this rate limit is asked together with others. */
  readonly jointNames: string[] = [];
  /** The numbers, if they do not depend on the key. */
  readonly limits: readonly number[] | undefined;
  /** The longest time that units count, in milliseconds. */
  readonly longestMs: number;
  readonly #rules: readonly LimitRule[] | undefined;

  private constructor(name: string, parts: readonly LimitPart[], how: Enforcement, members: readonly KnownLimit[]) {
    this.name = name;
    this.parts = parts;
    this.isPaced = how.isPaced;
    this.onUnavailable = how.onUnavailable;
    this.isDryRun = how.isDryRun;
    this.members = members;
    this.keyNames = this.parts.map(({ keyName }) => keyName);
    this.labels = members.length > 0 ? this.keyNames : this.parts.map(({ label }) => label);
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

  /** @throws SluiceError `SLUICE_BAD_OPTION` */
  static of(definition: RateLimitDefinition, options: ResolvedLimitOptions): KnownLimit {
    const { name } = definition;
    const own = options.names[name];
    const given: NamedLimitOptions & { limits?: Record<string, LimitNumbers> } = definition.options;
    refuseOptionsWithoutEffect(name, given.limits, options.names);
    const mode = own?.mode ?? given.mode;
    const how = {
      onUnavailable: own?.onUnavailable ?? given.onUnavailable ?? options.onUnavailable,
      isDryRun: own?.dryRun ?? given.dryRun ?? false,
      isPaced: mode === 'pace',
    };
    const parts =
      given.limits === undefined
        ? [partOf(name, name, added(given, own), mode)]
        : Object.entries(given.limits).map(([part, numbers]) => {
            return partOf(part, `${name}.${part}`, added(numbers, options.names[`${name}.${part}`]), undefined);
          });
    return new KnownLimit(name, parts, how, []);
  }

  /** Several rate limits that are charged together or not at all. They are enforced in one way, and none is paced. */
  static joint(name: string, members: readonly [KnownLimit, ...KnownLimit[]]): KnownLimit {
    const parts = members.flatMap((member) => member.parts);
    const joint = new KnownLimit(name, parts, members[0], members);
    for (const { jointNames } of members) jointNames.push(name);
    return joint;
  }

  /** See {@link limitId}. */
  idOf(key: string): string {
    return limitId(this.name, key);
  }

  /** Whether a call may ask both of them in one script, if they are limits of one key. */
  canJoin(other: KnownLimit): boolean {
    if (this.isPaced || other.isPaced) return false;
    return this.onUnavailable === other.onUnavailable && this.isDryRun === other.isDryRun;
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

function partOf(label: string, keyName: string, numbers: LimitNumbers, mode: 'pace' | undefined): LimitPart {
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

function ruleOf({ kind, perMs, burst, calendar }: LimitPart, limit: number, nowMs: number): LimitRule {
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
