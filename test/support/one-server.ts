import { createHash } from 'node:crypto';
import { it } from '@jest/globals';

/** For what holds on one server only, where PUBLISH counts every receiver and one call may name keys of several slots. */
export const itOnOneServer = process.env['SLUICE_TEST_TOPOLOGY'] === 'slots' ? it.skip : it;

/** Whether the first argument of an EVALSHA names this script, whatever server it was sent to. */
export function runs(script: { readonly sha: string; readonly lua: string }, sha: unknown): boolean {
  const inCluster = script.lua.replace('local oneServer = true', 'local oneServer = false');
  return sha === script.sha || sha === createHash('sha1').update(inCluster).digest('hex');
}
