/** Compile-only: what the types of rate limits accept and refuse. */
import type { Observable } from 'rxjs';
import {
  RateLimit,
  SkipRateLimit,
  defineRateLimit,
  fromContext,
  type RateLimitDecision,
  type RateLimitService,
  type Reservation,
} from '../../libs/limit/index.js';

interface Order {
  readonly account: string;
  readonly items: number;
}

declare function done(...used: unknown[]): Promise<void>;

const Login = defineRateLimit('login', { limit: 5, perMs: 60_000 });
const Partner = defineRateLimit('partner', { limit: 100, perMs: 1_000, mode: 'pace', burst: 2 });
const Plans = defineRateLimit('plans', { limit: async (key) => key.length, perMs: 60_000, onUnavailable: 'deny' });
const Api = defineRateLimit('api', {
  limits: {
    burst: { limit: 10, perMs: 1_000, algorithm: 'bucket', burst: 20 },
    daily: { limit: (key) => key.length, window: 'day', timeZone: 'Europe/Berlin' },
  },
  dryRun: true,
});
const user = fromContext((context) => context.switchToHttp().getRequest<{ user: string }>().user);
const items = fromContext(async (context) => Promise.resolve(context.getArgs().length));

export const refused = [
  // @ts-expect-error a limit is needed
  defineRateLimit('x', { perMs: 60_000 }),
  // @ts-expect-error no such option
  defineRateLimit('x', { limit: 5, ttl: 60_000 }),
  // @ts-expect-error no such window
  defineRateLimit('x', { limit: 5, window: 'hour' }),
  // @ts-expect-error no such algorithm
  defineRateLimit('x', { limit: 5, perMs: 1, algorithm: 'gcra' }),
  // @ts-expect-error each of several limits needs its number
  defineRateLimit('x', { limits: { burst: { perMs: 1_000 } } }),
  // @ts-expect-error several limits have no turns
  defineRateLimit('x', { limits: { burst: { limit: 1, perMs: 1_000, mode: 'pace' } } }),
  // @ts-expect-error a context function makes a text
  RateLimit(Login, { by: fromContext(() => 5) }),
  // @ts-expect-error no such key
  RateLimit(Login, { by: 'user' }),
  // @ts-expect-error no such outcome
  RateLimit(Login, { count: 'errors' }),
];

@RateLimit(Api, { by: 'ip' })
@RateLimit(['login', Plans])
@SkipRateLimit('all')
export class Routes {
  @RateLimit(Login, { by: 'ip', count: 'failures' })
  sync(): string {
    return 'on a route, the method need not be async';
  }

  @RateLimit([Login, 'named'], { by: user, cost: items })
  @SkipRateLimit()
  async ofUser(order: Order): Promise<Order> {
    return Promise.resolve(order);
  }

  @RateLimit(Partner, { maxWaitMs: 5_000, cost: 2 })
  watch(): Observable<number> {
    throw new Error('only compiled');
  }
}

export class Methods {
  private readonly tenant = 'acme';

  @RateLimit(Partner, { by: (order: Order) => order.account, cost: (order: Order) => order.items, maxWaitMs: 5_000 })
  async send(order: Order, note: string): Promise<void> {
    return done(order, note);
  }

  @RateLimit(Plans, {
    by(this: Methods) {
      return this.tenant;
    },
    count: 'successes',
  })
  async ofTenant(): Promise<void> {
    return done();
  }

  // @ts-expect-error the key function takes another type
  @RateLimit(Partner, { by: (order: Order) => order.account })
  async otherType(id: number): Promise<void> {
    return done(id);
  }

  // @ts-expect-error the cost is of a parameter that the method does not have
  @RateLimit(Partner, { by: (id: string) => id, cost: (_id: string, units: number) => units })
  async fewer(id: string): Promise<void> {
    return done(id);
  }

  // @ts-expect-error a key is a text
  @RateLimit(Partner, { by: (id: number) => id })
  async numericKey(id: number): Promise<void> {
    return done(id);
  }

  // @ts-expect-error the key function needs the object of another class
  @RateLimit(Partner, {
    by(this: Routes, id: string) {
      return `${typeof this}:${id}`;
    },
  })
  async otherThis(id: string): Promise<void> {
    return done(id);
  }

  // @ts-expect-error a function of arguments is for an async method
  @RateLimit(Partner, { by: (id: string) => id })
  sync(id: string): string {
    return id;
  }
}

export async function service(limits: RateLimitService, signal: AbortSignal): Promise<void> {
  const decision: RateLimitDecision = await limits.consume(Login, 'k', { cost: 2, limit: 10 });
  const { decidedBy }: { decidedBy: 'redis' | 'local' | 'policy' } = decision;
  const reservation: Reservation = await limits.reserve('tokens', 'k', 4_000);
  await reservation.settle(decision.remaining);
  await limits.take(Partner, 'k', { maxWaitMs: 0, signal, cost: 3 });
  await limits.block(Api, 'k', 60_000);
  await done(
    decidedBy,
    (await limits.peek(Api, 'k')).limits.map(({ name }) => name),
  );
  // @ts-expect-error a reservation says its units
  await limits.reserve('tokens', 'k');
  // @ts-expect-error its units are no option
  await limits.reserve('tokens', 'k', 5, { cost: 5 });
  // @ts-expect-error consume does not wait
  await limits.consume(Partner, 'k', { maxWaitMs: 5 });
  // @ts-expect-error a key is a text
  await limits.consume(Login, 5);
  // @ts-expect-error a decision does not change
  decision.remaining = 5;
}
