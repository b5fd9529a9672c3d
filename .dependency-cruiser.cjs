/** The layout rules of ARCHITECTURE.md, enforced by `npm test`. */
const lib = (names) => `^libs/(${names})/`;
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'weave-is-the-ground',
      comment: 'weave knows no Redis and no other lib',
      severity: 'error',
      from: { path: lib('weave') },
      to: { path: '^libs/(?!weave/)' },
    },
    {
      name: 'redis-may-use-weave-only',
      severity: 'error',
      from: { path: lib('redis') },
      to: { path: '^libs/(?!redis/|weave/)' },
    },
    {
      name: 'features-stand-side-by-side',
      comment: 'lock, cache and queue use the ground floor and never each other',
      severity: 'error',
      from: { path: '^libs/(lock|cache|queue)/' },
      to: { path: '^libs/(?!redis/|weave/|$1/)' },
    },
    {
      name: 'features-know-no-adapter',
      severity: 'error',
      from: { path: lib('redis|weave|lock|cache|queue|sluice') },
      to: { path: lib('testing|health|telemetry|dashboard') },
    },
    {
      name: 'only-redis-knows-ioredis',
      severity: 'error',
      from: { path: '^libs/(?!redis/|testing/)' },
      to: { path: 'node_modules/ioredis' },
    },
    { name: 'nobody-imports-apps', severity: 'error', from: { path: '^libs/' }, to: { path: '^apps/' } },
    {
      name: 'libs-import-each-other-by-relative-path',
      comment: 'one copy per module format',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: 'nestjs-sluice', dependencyTypes: ['aliased', 'npm-no-pkg', 'unknown', 'local-alias'] },
    },
    {
      name: 'apps-import-the-package-by-name',
      severity: 'error',
      from: { path: '^apps/demo/' },
      to: { path: '^libs/', dependencyTypesNot: ['aliased'] },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: { path: '^(libs|apps|test)/' },
      to: { couldNotResolve: true, pathNot: '^nestjs-sluice' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
};
