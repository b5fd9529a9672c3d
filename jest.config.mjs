/** Jest 30 in ESM mode (NODE_OPTIONS=--experimental-vm-modules): Nest 12 is ESM-only. */
export default {
  globalSetup: './scripts/jest-setup.mjs',
  testEnvironment: 'node',
  roots: ['<rootDir>/libs', '<rootDir>/apps/demo', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
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
  testTimeout: 30_000,
  maxWorkers: 2,
};
