/** The layout rules of ARCHITECTURE.md, enforced by `npm test` and proven one by one in test/layout.spec.ts. */
const SPECS = '\\.spec\\.ts$';
const lib = (names) => `^libs/(${names})/`;

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'weave-is-the-ground',
      comment: 'weave knows no Redis and no other lib',
      severity: 'error',
      from: { path: lib('weave'), pathNot: SPECS },
      to: { path: '^libs/(?!weave/)' },
    },
    {
      name: 'redis-may-use-weave-only',
      severity: 'error',
      from: { path: lib('redis'), pathNot: SPECS },
      to: { path: '^libs/(?!redis/|weave/)' },
    },
    {
      name: 'features-stand-side-by-side',
      comment: 'lock, cache, queue and limit never know each other, not even in their specs',
      severity: 'error',
      from: { path: '^libs/(lock|cache|queue|limit)/' },
      to: { path: lib('lock|cache|queue|limit|sluice'), pathNot: '^libs/$1/' },
    },
    {
      name: 'stores-stand-alone',
      comment: 'what speaks to Redis knows none of the folders that use it',
      severity: 'error',
      from: { path: '^libs/([^/]+)/store/', pathNot: SPECS },
      to: { path: '^libs/$1/[^/]+/', pathNot: '^libs/$1/store/' },
    },
    {
      name: 'features-know-no-adapter',
      comment: 'specs may use the fixtures of libs/testing',
      severity: 'error',
      from: { path: lib('redis|weave|lock|cache|queue|limit|sluice'), pathNot: SPECS },
      to: { path: lib('testing|health|telemetry|dashboard|throttler') },
    },
    {
      name: 'only-redis-knows-ioredis',
      severity: 'error',
      from: { path: '^libs/(?!redis/|testing/)', pathNot: SPECS },
      to: { path: 'node_modules/ioredis/' },
    },
    {
      name: 'libs-ship-alone',
      comment: 'nothing of test/ and apps/ is in the package',
      severity: 'error',
      from: { path: '^libs/', pathNot: SPECS },
      to: { path: '^(test|apps)/' },
    },
    { name: 'nobody-imports-apps', severity: 'error', from: { pathNot: '^apps/' }, to: { path: '^apps/' } },
    {
      name: 'libs-import-each-other-by-relative-path',
      comment: 'one copy per module format',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^(libs|dist)/', dependencyTypes: ['aliased', 'npm-no-pkg', 'npm-unknown', 'localmodule'] },
    },
    {
      name: 'apps-import-the-package-by-name',
      comment: 'they prove the exports map, and a relative import would compile a second copy of the library',
      severity: 'error',
      from: { path: '^(apps|test/(apps|chaos|support))/' },
      to: { path: '^libs/', dependencyTypesNot: ['aliased'] },
    },
    {
      name: 'no-unresolvable',
      comment: 'but for packages that only some apps have, which are loaded when a route of theirs is refused',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^@nestjs/(websockets|microservices)$' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    // The apps of test/pack have dependencies of their own.
    exclude: { path: '(^|/)dist/|^test/pack/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
};
