/**
 * A Jest environment for seeded faults: one failed test is all the proof there is to get, so the rest of its file is left
 * out, and so are files that begin later. (Jest's own `--bail` knows files only, and tells no results.)
 */
import { existsSync, writeFileSync } from 'node:fs';
import PackagesEnvironment from './jest-environment.mjs';

/** A file that is there once a test has failed. */
const marker = process.env.SLUICE_FAILED_MARKER;

export default class FailFastEnvironment extends PackagesEnvironment {
  handleTestEvent(event, state) {
    if (event.name === 'test_done' && event.test.errors.length > 0) writeFileSync(marker, event.test.name);
    // Before it begins, so that not even hooks of the file run.
    if (event.name === 'run_start' && existsSync(marker)) skipAll(state.rootDescribeBlock);
    if (event.name === 'test_start' && existsSync(marker)) event.test.mode = 'skip';
  }
}

function skipAll({ children }) {
  for (const child of children) {
    if (child.type === 'test') child.mode = 'skip';
    else skipAll(child);
  }
}
