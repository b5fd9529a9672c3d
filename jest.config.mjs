import { basename } from 'node:path';

/** They need other servers than one plain Redis. `npm run test:topologies` runs them, and whoever names them. */
const OTHER_SERVERS = ['test/topologies', 'libs/testing/servers/sentinel-group', 'libs/testing/servers/redis-cluster'];
const named = (path) => process.argv.some((arg) => arg.includes(basename(path)));

/** Jest 30 in ESM mode (NODE_OPTIONS=--experimental-vm-modules): Nest 12 is ESM-only. */
export default {
  globalSetup: './scripts/jest-setup.mjs',
  testSequencer: './scripts/jest-sequencer.mjs',
  testEnvironment: './scripts/jest-environment.mjs',
  resolver: './scripts/jest-resolver.mjs',
  setupFilesAfterEnv: process.env.SLUICE_TEST_TOPOLOGY === 'acl' ? ['./scripts/jest-restricted-user.mjs'] : [],
  roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  testPathIgnorePatterns: OTHER_SERVERS.filter((path) => !named(path)),
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^nestjs-sluice$': '<rootDir>/libs/sluice/index.ts',
    '^nestjs-sluice/(.*)$': '<rootDir>/libs/$1/index.ts',
  },
  // Longer than the deadlines of until(), forkApp() and the demo, which tell more. A test that passes never waits for it.
  testTimeout: 600_000,
  maxWorkers: 2,
  // The modules of a spec stay in its worker's memory. Without a limit, a worker has 1.4 GB after 60 specs, its collections take
  // longer than the specs, and in the end it does not exit in the half second that Jest allows. A new worker costs half a second.
  workerIdleMemoryLimit: '450MB',
  // Ample on a busy machine too: a worker that is still there after that has a handle open.
  workerGracefulExitTimeout: 10_000,
};
