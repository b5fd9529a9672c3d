import { SingleBar } from 'cli-progress';
import { styleText } from 'node:util';
import type { Claim } from '../scenario/step.js';

type Style = Parameters<typeof styleText>[0];
/** Standard output or error. */
type Output = NodeJS.WritableStream & { isTTY?: boolean };

/** Prints what happens, as plain text. Colours are for terminals. */
export class Report {
  #out: Output;
  #colours: boolean;
  #step = 0;

  constructor(out: Output) {
    this.#out = out;
    this.#colours = out.isTTY === true && !process.env['NO_COLOR'];
  }

  line(text = ''): void {
    this.#out.write(`${text}\n`);
  }

  heading(text: string): void {
    this.line(this.#in('bold', text));
  }

  /** Something that takes a while: a bar on a terminal, a line elsewhere. */
  progress(what: string): { at(done: number): void; done(): void } {
    if (!this.#out.isTTY) {
      this.line(`   ${what} …`);
      return { at: () => {}, done: () => {} };
    }
    const bar = new SingleBar({ stream: this.#out, format: `   ${what} {bar} {percentage} %`, clearOnComplete: true });
    bar.start(1, 0);
    return {
      at(done) {
        bar.update(done);
      },
      done() {
        bar.stop();
      },
    };
  }

  /** The beginning of a step: what will be shown. */
  opens(title: string, shows: string): void {
    this.line();
    this.heading(`${++this.#step}. ${title}`);
    this.line(`   ${shows}`);
  }

  /** The end of a step: its figures, and what held. */
  closes(rows: readonly [string, string | number][], claims: readonly Claim[]): void {
    this.line();
    this.table(rows.map(([label, value]) => [label, String(value)]));
    this.line();
    for (const { claim, expected, seen, holds } of claims) {
      this.line(
        holds
          ? `   ${this.#in('green', 'holds')}           ${claim}`
          : `   ${this.#in('red', 'DOES NOT HOLD')}   ${claim}: expected ${expected}, seen ${seen}`,
      );
    }
  }

  /** A step that could not be played to its end. */
  breaks(error: unknown): void {
    this.line();
    this.line(`   ${this.#in('red', 'DOES NOT HOLD')}   ${error instanceof Error ? error.message : String(error)}`);
  }

  /** The end of the scenario. */
  ends(holds: boolean): void {
    this.line();
    this.line(holds ? this.#in('green', 'All of it holds.') : this.#in('red', 'Not all of it holds.'));
  }

  /** What kept the demo from being shown. */
  fails(error: unknown): void {
    this.line(`${this.#in('red', 'failed')}: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** Labels to the left, values to the right. */
  table(rows: readonly [string, string][]): void {
    const labels = Math.max(...rows.map(([label]) => label.length));
    const values = Math.max(...rows.map(([, value]) => value.length));
    for (const [label, value] of rows) this.line(`   ${label.padEnd(labels)}   ${value.padStart(values)}`);
  }

  #in(style: Style, text: string): string {
    return this.#colours ? styleText(style, text) : text;
  }
}
