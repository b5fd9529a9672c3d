import { from, Observable, Subject, takeUntil, type ObservableInput } from 'rxjs';
import { interopOf } from './ongoing-result.js';
import type { HeldResource, ResultHold } from './result-hold.js';

/** An Observable of any library as one of rxjs. */
export function toObservable(source: unknown): Observable<unknown> {
  if (source instanceof Observable) return source;
  const interop = interopOf(source as Record<string | symbol, unknown>);
  const foreign = (interop === undefined ? source : interop.call(source)) as Observable<unknown>;
  return new Observable((subscriber) => foreign.subscribe(subscriber));
}

/** The same Observable. Each subscription is a consumer of the hold. It fails when the resource is lost. */
export function heldObservable(source: unknown, hold: ResultHold, resource: HeldResource): Observable<unknown> {
  return new Observable((subscriber) => {
    const gone = new Subject<void>();
    const leave = hold.enter((reason) => {
      subscriber.error(reason);
    });
    // Before the source is subscribed to: a source that emits in a loop must stop as soon as its subscriber leaves.
    subscriber.add(() => {
      gone.next();
      void leave();
    });
    const source$ = from(toObservable(source) as ObservableInput<unknown>).pipe(takeUntil(gone));
    resource.run(() =>
      source$.subscribe({
        next: (value) => {
          subscriber.next(value);
        },
        error: (error: unknown) => {
          void leave().then(() => {
            subscriber.error(error);
          });
        },
        complete: () => {
          if (subscriber.closed) return;
          try {
            resource.assertHeld();
          } catch (lost) {
            subscriber.error(lost);
            return;
          }
          void leave().then(() => {
            subscriber.complete();
          });
        },
      }),
    );
  });
}
