import { beforeEach, describe, expect, it } from '@jest/globals';
import { Writable } from 'node:stream';
import { Report } from '../launcher/report.js';
import { playStep } from './play-step.js';
import { equal, type Stage, type Step } from './step.js';

const step = (play: () => number): Step<{ loads: number }> => ({
  title: 'A step',
  shows: 'Something.',
  play: async () => Promise.resolve({ loads: play() }),
  judge: ({ loads }) => [equal('one load', 1, loads)],
  rows: ({ loads }) => [
    ['loads', loads],
    ['requests in all', 100],
  ],
});

describe('playStep', () => {
  let printed: string;
  let report: Report;
  let interruption: AbortController;
  let stage: Stage;

  beforeEach(() => {
    printed = '';
    const out = new Writable({
      write(chunk: Buffer, _encoding, done) {
        printed += chunk.toString();
        done();
      },
    });
    report = new Report(out);
    interruption = new AbortController();
    stage = { interrupted: interruption.signal } as Stage;
  });

  it('holds, and prints the figures in columns without colours', async () => {
    const played = await playStep(
      step(() => 1),
      stage,
      report,
    );
    expect(played).toEqual({ holds: true, figures: { loads: 1 } });
    expect(printed).toBe(`
1. A step
   Something.

   loads               1
   requests in all   100

   holds           one load
`);
  });

  it('does not hold with a claim that does not, and says what was expected and what was seen', async () => {
    const played = await playStep(
      step(() => 3),
      stage,
      report,
    );
    expect(played).toEqual({ holds: false, figures: { loads: 3 } });
    expect(printed).toContain('DOES NOT HOLD   one load: expected 1, seen 3\n');
  });

  it('does not hold if it cannot be played to its end', async () => {
    const broken = step(() => {
      throw new Error('app-2 does not serve');
    });
    expect(await playStep(broken, stage, report)).toEqual({ holds: false, figures: null });
    expect(printed).toContain('DOES NOT HOLD   app-2 does not serve\n');
  });

  it('neither holds nor fails if it is interrupted', async () => {
    interruption.abort();
    await expect(
      playStep(
        step(() => 3),
        stage,
        report,
      ),
    ).rejects.toThrow('aborted');
    expect(printed).not.toContain('HOLD');
  });
});
