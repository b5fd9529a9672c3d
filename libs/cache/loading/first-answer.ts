/**
 * The moment at which Redis has answered the first question of a flight, or from which the next flight need not wait for that
 * answer any longer.
 */
export class FirstAnswer {
  give!: () => void;
  readonly given = new Promise<void>((resolve) => {
    this.give = resolve;
  });
}
