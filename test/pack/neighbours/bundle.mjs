/**
 * Bundles `dist/bundled.js`: `node bundle.mjs esbuild` (minified) or `node bundle.mjs webpack` (production). Everything is in the
 * bundle but what Nest loads only where it is installed.
 */
import { createRequire } from 'node:module';

const entry = './dist/bundled.js';
const require = createRequire(import.meta.url);
/** Nest tries to load these, and this entry does without. */
const OPTIONAL = [
  '@nestjs/microservices',
  '@nestjs/microservices/microservices-module',
  '@nestjs/microservices/microservices-module.js',
  '@nestjs/websockets/socket-module',
  '@nestjs/websockets/socket-module.js',
  '@nestjs/platform-express',
  'class-transformer',
  'class-transformer/storage',
  'class-validator',
];

if (process.argv[2] === 'esbuild') {
  const { build } = await import('esbuild');
  const options = { bundle: true, platform: 'node', minify: true, external: OPTIONAL, logLevel: 'error' };
  await build({ ...options, entryPoints: [entry], format: 'cjs', outfile: './dist/esbuild.cjs' });
} else {
  const webpack = require('webpack');
  const externals = Object.fromEntries(OPTIONAL.map((name) => [name, `commonjs ${name}`]));
  const stats = await new Promise((resolve, reject) => {
    const output = { path: `${import.meta.dirname}/dist`, filename: 'webpack.cjs' };
    webpack({ mode: 'production', target: 'node', entry, output, externals }, (error, done) =>
      error ? reject(error) : resolve(done),
    );
  });
  if (stats.hasErrors()) throw new Error(stats.toString('errors-only'));
}
