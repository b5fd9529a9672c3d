import { createHash } from 'node:crypto';
import { it } from '@jest/globals';
import { CLUSTER_MODE } from './cluster-mode.js';

/** For what holds on one server only, where PUBLISH counts every receiver and one call may name keys of several slots. */
export const itOnOneServer = CLUSTER_MODE ? it.skip : it;

interface Script {
  readonly sha: string;
  readonly lua: string;
}

/** The text that a server in cluster mode is sent. */
const inCluster = ({ lua }: Script): string => lua.replace('local oneServer = true', 'local oneServer = false');

/** Whether the first argument of an EVALSHA names this script, whatever server it was sent to. */
export function runs(script: Script, sha: unknown): boolean {
  return sha === script.sha || sha === createHash('sha1').update(inCluster(script)).digest('hex');
}

/** The text that the servers of this run are sent: for SCRIPT LOAD. */
export function textOf(script: Script): string {
  return CLUSTER_MODE ? inCluster(script) : script.lua;
}
