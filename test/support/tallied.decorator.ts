import { Global, Injectable, Module } from '@nestjs/common';
import {
  type AsyncMethodDecorator,
  brandService,
  injectedProvider,
  type KeyFunction,
  weaveMethod,
  WeaveModule,
  type Weaver,
  type WovenCall,
  type WovenSite,
} from 'nestjs-sluice/weave';

export const TALLY = 'test:tally';

/** The simplest service behind a woven decorator: it notes what it was asked, and lets every call through. */
@Injectable()
export class TallyService {
  readonly calls: WovenCall[] = [];
  readonly checked: WovenSite[] = [];

  constructor() {
    brandService(this, TALLY);
  }

  take(call: WovenCall): Promise<unknown> {
    this.calls.push(call);
    return call.proceed();
  }
}

/** Counts calls. `check` is run at boot, as that of a real decorator. */
export function Tallied<T extends object, A extends unknown[]>(
  _key?: string | KeyFunction<T, A>,
  check?: (site: WovenSite) => void,
): AsyncMethodDecorator<T, A> {
  const weaver: Weaver<TallyService> = {
    decorator: '@Tallied',
    token: TALLY,
    check(site, service) {
      service.checked.push(site);
      check?.(site);
    },
  };
  return weaveMethod(weaver, (service, call) => service.take(call));
}

@Global()
@Module({
  imports: [WeaveModule],
  providers: [{ provide: TALLY, useClass: TallyService }, injectedProvider(TALLY)],
  exports: [TALLY, injectedProvider(TALLY)],
})
export class TallyModule {}
