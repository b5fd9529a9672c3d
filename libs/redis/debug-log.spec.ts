import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { transformFileSync } from '@swc/core';
import { debugLog } from './debug-log.js';

describe('debugLog', () => {
  const { code } = transformFileSync('libs/redis/debug-log.ts', {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'es6' },
  });

  /** What a process prints whose features `lock` and `cache` have something to say. Node reads the variable at its start. */
  function printed(nodeDebug: string): string {
    const use = `${code}
      let evaluated = 0;
      const value = () => ++evaluated;
      debugLog('lock')?.('%s granted %d', 'job', value());
      debugLog('cache')?.('loaded %d', value());
      console.log('evaluated', evaluated);`;
    const env = { ...process.env, NODE_DEBUG: nodeDebug };
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', use], { env });
    return `${stderr.toString()}${stdout.toString()}`;
  }

  it('prints what one feature says, and evaluates nothing for the others', () => {
    expect(printed('sluice:lock')).toMatch(/^SLUICE:LOCK \d+: job granted 1\nevaluated 1\n$/);
  });

  it('prints what all say', () => {
    expect(printed('sluice:*')).toMatch(/SLUICE:LOCK \d+: job granted 1\nSLUICE:CACHE \d+: loaded 2\n/);
  });

  it('is nothing while it is off', () => {
    expect(printed('')).toBe('evaluated 0\n');
    expect(debugLog('lock')).toBeUndefined();
  });
});
