import { SluiceError } from '../../weave/index.js';
import { Turn, type TurnOptions } from './turn.js';

/** The calls of this process that wait for their turns, until the app stops. */
export class WaitingTurns {
  readonly #waiting = new Set<Turn>();
  #isClosed = false;

  /** @throws SluiceError `SLUICE_CLOSED` */
  start(options: Omit<TurnOptions, 'ended'>): Turn {
    if (this.#isClosed) throw closedError(options.known.name);
    const turn: Turn = new Turn({ ...options, ended: () => this.#waiting.delete(turn) });
    this.#waiting.add(turn);
    return turn;
  }

  /** Ends all waits: their calls reject. Resolves when the turns are given back. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#waiting].map((turn) => turn.fail(closedError(turn.name))));
  }
}

function closedError(name: string): SluiceError {
  return new SluiceError('SLUICE_CLOSED', `rate limit '${name}' gives no turns any more: the app is shutting down`);
}
