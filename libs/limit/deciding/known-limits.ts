import { isDeepStrictEqual } from 'node:util';
import { SluiceError, badOption, similarTo } from '../../weave/index.js';
import type { RateLimitDefinition, RateLimitRef } from '../define-rate-limit.js';
import type { ResolvedLimitOptions } from '../limit-module.options.js';
import { KnownLimit } from './known-limit.js';

/** The rate limits of one app, by definition and by name. */
export class KnownLimits {
  readonly #options: ResolvedLimitOptions;
  readonly #byRef = new Map<RateLimitRef, KnownLimit>();
  readonly #definitions = new Map<string, RateLimitDefinition>();
  readonly #joint = new Map<string, KnownLimit>();

  constructor(options: ResolvedLimitOptions) {
    this.#options = options;
  }

  /** @throws SluiceError `SLUICE_BAD_OPTION`: an unknown name, or another definition of a known name */
  get(ref: RateLimitRef): KnownLimit {
    return this.#byRef.get(ref) ?? this.#learn(ref);
  }

  /** Several rate limits, to be asked together about one key. */
  joint(members: readonly [KnownLimit, ...KnownLimit[]]): KnownLimit {
    if (members.length === 1) return members[0];
    // No name contains a brace.
    const name = members.map((member) => member.name).join('{');
    let joint = this.#joint.get(name);
    if (joint === undefined) this.#joint.set(name, (joint = KnownLimit.joint(name, members)));
    return joint;
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
    const known = (first && this.#byRef.get(first)) ?? KnownLimit.of(definition, this.#options);
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
